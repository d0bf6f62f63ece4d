using System.Runtime.InteropServices;
using System.Text;
using Keepalive.Linux.Interop;

namespace Keepalive.Linux.Bpf;

/// <summary>Programs and maps that were loaded together. They live until this, and everything attached through it, is disposed.</summary>
public sealed unsafe class BpfObject : IDisposable
{
    private const int LogSize = 256 * 1024;

    private void* _object;

    private BpfObject(void* loaded) => _object = loaded;

    /// <summary>Loads some of the programs of an ELF object, and the maps of all.</summary>
    /// <param name="elf">The object as the compiler wrote it.</param>
    /// <param name="programs">The names of the programs to load.</param>
    /// <param name="others">The names of those to leave out.</param>
    /// <param name="constants">The values of the object's read-only data.</param>
    /// <param name="types">A file with the kernel's type information; null is the kernel's own (/sys/kernel/btf/vmlinux).</param>
    /// <exception cref="BpfException">libbpf, the kernel or its verifier refused. EPERM: CAP_BPF, CAP_PERFMON or CAP_NET_ADMIN is missing, or a
    /// security module or lockdown forbids it.</exception>
    public static BpfObject Load(byte[] elf, IEnumerable<string> programs, IEnumerable<string> others, ReadOnlySpan<byte> constants, string? types = null)
    {
        var log = GC.AllocateUninitializedArray<byte>(LogSize, pinned: true);
        log[0] = 0;
        void* opened;
        fixed (byte* bytes = elf, text = log, path = types is null ? null : Encoding.UTF8.GetBytes(types + '\0'))
        {
            var (image, buffer, btf) = ((nint)bytes, (nint)text, (nint)path);
            opened = (void*)BpfLibrary.Listen(() => Open(image, elf.Length, buffer, btf), out var said);
            if (opened is null)
            {
                throw new BpfException("opening the BPF object", Marshal.GetLastPInvokeError(), said);
            }
            var loaded = new BpfObject(opened);
            try
            {
                foreach (var name in others)
                {
                    _ = BpfLibbpf.bpf_program__set_autoload(loaded.Program(name), 0);
                }
                foreach (var name in programs)
                {
                    _ = loaded.Program(name);
                }
                loaded.SetConstants(constants);
                var target = (nint)opened;
                var errno = BpfLibrary.Listen(() => BpfLibbpf.bpf_object__load((void*)target) < 0 ? Marshal.GetLastPInvokeError() : 0, out said);
                return errno == 0 ? loaded : throw new BpfException("loading the BPF programs", errno, VerifierLine(log) ?? Detail(errno, said));
            }
            catch
            {
                loaded.Dispose();
                throw;
            }
        }
    }

    /// <summary>A map by the name it has in the source.</summary>
    public BpfMap Map(string name)
    {
        fixed (byte* text = Encoding.UTF8.GetBytes(name + '\0'))
        {
            var map = BpfLibbpf.bpf_object__find_map_by_name(_object, text);
            return map is null ? throw new ArgumentException($"the BPF object has no map {name}", nameof(name)) : BpfMap.Borrowed(BpfLibbpf.bpf_map__fd(map));
        }
    }

    /// <summary>Attaches a program to a cgroup and all below it, beside those of others; it is detached when the result is disposed or this
    /// process ends, however it does.</summary>
    /// <exception cref="BpfException">The kernel refused.</exception>
    public BpfLink AttachToCgroup(string program, string cgroup)
    {
        using var directory = Files.FileDescriptor.TryOpen(cgroup, Unistd.O_RDONLY, out var errno)
            ?? throw new BpfException($"opening the cgroup {cgroup}", errno, "");
        var (what, where) = ((nint)Program(program), directory.Number);
        var link = (void*)BpfLibrary.Listen(() => (nint)BpfLibbpf.bpf_program__attach_cgroup((void*)what, where), out var said);
        errno = Marshal.GetLastPInvokeError();
        return link is null ? throw new BpfException($"attaching {program} to the cgroup {cgroup}", errno, Detail(errno, said)) : new BpfLink(link);
    }

    /// <summary>Attaches a program to the point of the kernel that its section names, for the whole node; it is detached when the result is disposed or this
    /// process ends, however it does.</summary>
    /// <exception cref="BpfException">The kernel refused.</exception>
    public BpfLink Attach(string program)
    {
        var what = (nint)Program(program);
        var link = (void*)BpfLibrary.Listen(() => (nint)BpfLibbpf.bpf_program__attach((void*)what), out var said);
        var errno = Marshal.GetLastPInvokeError();
        return link is null ? throw new BpfException($"attaching {program}", errno, Detail(errno, said)) : new BpfLink(link);
    }

    /// <summary>How often the kernel has left out a program because it was running on that processor already. 0 if the kernel does not count
    /// it.</summary>
    public ulong Misses(string program) => BpfCgroups.Misses(BpfLibbpf.bpf_program__fd(Program(program)));

    /// <summary>Makes an iterator of a program of that kind.</summary>
    /// <exception cref="BpfException">The kernel refused.</exception>
    public BpfIterator Iterator(string program)
    {
        var what = (nint)Program(program);
        var link = (void*)BpfLibrary.Listen(() => (nint)BpfLibbpf.bpf_program__attach_iter((void*)what, null), out var said);
        var errno = Marshal.GetLastPInvokeError();
        return link is null ? throw new BpfException($"making the iterator {program}", errno, Detail(errno, said)) : new BpfIterator(new BpfLink(link));
    }

    /// <summary>Runs a program of the kind that sees packets on a made-up packet, and returns the packet as the program left it.</summary>
    /// <exception cref="LinuxException">The kernel refused.</exception>
    public void Run(string program, Span<byte> packet)
    {
        fixed (byte* data = packet)
        {
            var options = new BpfBpf.bpf_test_run_opts
            {
                sz = (nuint)sizeof(BpfBpf.bpf_test_run_opts),
                data_in = (nint)data,
                data_size_in = (uint)packet.Length,
                data_out = (nint)data,
                data_size_out = (uint)packet.Length,
                repeat = 1,
            };
            if (BpfBpf.bpf_prog_test_run_opts(BpfLibbpf.bpf_program__fd(Program(program)), &options) < 0)
            {
                throw LinuxException.Last($"bpf_prog_test_run {program}");
            }
        }
    }

    public void Dispose()
    {
        if (_object is not null)
        {
            BpfLibbpf.bpf_object__close(_object);
            _object = null;
        }
    }

    private static nint Open(nint image, int length, nint log, nint types)
    {
        fixed (byte* name = "keepalive\0"u8)
        {
            var options = new BpfLibbpf.bpf_object_open_opts
            {
                sz = (nuint)sizeof(BpfLibbpf.bpf_object_open_opts),
                object_name = (nint)name,
                btf_custom_path = types,
                kernel_log_buf = log,
                kernel_log_size = LogSize,
            };
            return (nint)BpfLibbpf.bpf_object__open_mem((void*)image, (nuint)length, &options);
        }
    }

    private void* Program(string name)
    {
        fixed (byte* text = Encoding.UTF8.GetBytes(name + '\0'))
        {
            var program = BpfLibbpf.bpf_object__find_program_by_name(_object, text);
            return program is null ? throw new ArgumentException($"the BPF object has no program {name}", nameof(name)) : program;
        }
    }

    private void SetConstants(ReadOnlySpan<byte> constants)
    {
        if (constants.IsEmpty)
        {
            return;
        }
        fixed (byte* name = ".rodata\0"u8)
        {
            var map = BpfLibbpf.bpf_object__find_map_by_name(_object, name);
            nuint size = 0;
            var target = map is null ? null : BpfLibbpf.bpf_map__initial_value(map, &size);
            if (target is null || (int)size < constants.Length)
            {
                throw new ArgumentException("the BPF object has no room for these constants", nameof(constants));
            }
            constants.CopyTo(new Span<byte>(target, constants.Length));
        }
    }

    /// <summary>The message of libbpf. For missing permissions it is advice about RLIMIT_MEMLOCK, which is obsolete since Linux 5.11.</summary>
    private static string Detail(int errno, string said) => errno == Errno.EPERM ? "" : said;

    /// <summary>The verifier's verdict: the last line of its log before the statistics.</summary>
    private static string? VerifierLine(byte[] log)
    {
        var text = Encoding.UTF8.GetString(log, 0, Math.Max(0, Array.IndexOf(log, (byte)0)));
        var lines = text.Split('\n', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries);
        return lines.LastOrDefault(line => !line.StartsWith("processed ", StringComparison.Ordinal)
            && !line.StartsWith("verification time", StringComparison.Ordinal) && !line.StartsWith("stack depth", StringComparison.Ordinal));
    }
}
