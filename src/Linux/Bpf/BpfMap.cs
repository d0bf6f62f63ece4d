using System.Runtime.InteropServices;
using System.Text;
using Keepalive.Linux.Files;
using Keepalive.Linux.Interop;

namespace Keepalive.Linux.Bpf;

/// <summary>A BPF map. Keys and values are structs without references, laid out as the programs have them.</summary>
public sealed unsafe class BpfMap : IDisposable
{
    private readonly FileDescriptor? _owned;

    private BpfMap(int number, FileDescriptor? owned)
    {
        Number = number;
        _owned = owned;
    }

    internal int Number { get; }

    /// <summary>Makes a map of prefixes that is none of an object's own.</summary>
    /// <exception cref="LinuxException">EPERM, ENOMEM, E2BIG, …</exception>
    public static BpfMap CreatePrefixes<TKey, TValue>(string name, int capacity)
        where TKey : unmanaged
        where TValue : unmanaged
    {
        fixed (byte* text = Encoding.ASCII.GetBytes(name + '\0'))
        {
            var options = new BpfBpf.bpf_map_create_opts { sz = (nuint)sizeof(BpfBpf.bpf_map_create_opts), map_flags = LinuxBpf.BPF_F_NO_PREALLOC };
            var fd = BpfBpf.bpf_map_create(LinuxBpf.BPF_MAP_TYPE_LPM_TRIE, text, (uint)sizeof(TKey), (uint)sizeof(TValue), (uint)capacity, &options);
            return fd < 0 ? throw LinuxException.Last("bpf_map_create") : new BpfMap(fd, new FileDescriptor(fd));
        }
    }

    internal static BpfMap Borrowed(int number) => new(number, null);

    /// <summary>Adds or replaces one entry.</summary>
    /// <exception cref="LinuxException">ENOSPC and E2BIG: the map is full. ENOMEM.</exception>
    public void Update<TKey, TValue>(in TKey key, in TValue value)
        where TKey : unmanaged
        where TValue : unmanaged
    {
        fixed (TKey* k = &key)
        fixed (TValue* v = &value)
        {
            if (BpfBpf.bpf_map_update_elem(Number, k, v, LinuxBpf.BPF_ANY) < 0)
            {
                throw LinuxException.Last("bpf_map_update_elem");
            }
        }
    }

    /// <summary>Puts another map into an entry of a map of maps. When this returns, no program uses the map that was there before.</summary>
    /// <exception cref="LinuxException">The kernel refused.</exception>
    public void Update(uint key, BpfMap inner)
    {
        ArgumentNullException.ThrowIfNull(inner);
        Update(key, (uint)inner.Number);
    }

    /// <summary>Adds or replaces many entries with as few calls as the kernel allows.</summary>
    /// <exception cref="LinuxException">As for one; those before it were taken.</exception>
    public void Update<TKey, TValue>(ReadOnlySpan<TKey> keys, ReadOnlySpan<TValue> values)
        where TKey : unmanaged
        where TValue : unmanaged
    {
        ArgumentOutOfRangeException.ThrowIfNotEqual(values.Length, keys.Length);
        fixed (TKey* k = keys)
        fixed (TValue* v = values)
        {
            for (var done = 0; done < keys.Length;)
            {
                var count = (uint)(keys.Length - done);
                var result = BpfBpf.bpf_map_update_batch(Number, k + done, v + done, &count, null);
                if (result < 0 && Marshal.GetLastPInvokeError() != Errno.EINTR)
                {
                    throw LinuxException.Last("bpf_map_update_batch");
                }
                done += (int)count;
            }
        }
    }

    /// <summary>Reads one entry; false where there is none.</summary>
    public bool TryRead<TKey, TValue>(in TKey key, Span<TValue> value)
        where TKey : unmanaged
        where TValue : unmanaged
    {
        fixed (TKey* k = &key)
        fixed (TValue* v = value)
        {
            return BpfBpf.bpf_map_lookup_elem(Number, k, v) == 0;
        }
    }

    /// <summary>Removes one entry; false where there was none.</summary>
    public bool Remove<TKey>(in TKey key)
        where TKey : unmanaged
    {
        fixed (TKey* k = &key)
        {
            return BpfBpf.bpf_map_delete_elem(Number, k) == 0;
        }
    }

    /// <summary>Removes every entry of a map whose keys are numbers of at most eight bytes.</summary>
    public void Clear()
    {
        ulong key;
        while (BpfBpf.bpf_map_get_next_key(Number, null, &key) == 0 && BpfBpf.bpf_map_delete_elem(Number, &key) == 0)
        {
        }
    }

    public void Dispose() => _owned?.Dispose();
}
