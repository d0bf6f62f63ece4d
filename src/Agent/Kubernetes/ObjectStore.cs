using System.Buffers;
using System.Runtime.InteropServices;

namespace Keepalive.Agent.Kubernetes;

/// <summary>The objects of one kind by name, as last heard of. Written by the kind's watch, read by others.</summary>
/// <typeparam name="T">What is kept of an object.</typeparam>
internal abstract class ObjectStore<T> : IObjectSink
    where T : class
{
    private readonly Dictionary<(string Namespace, string Name), (T Value, long Listing)> _objects = [];
    private readonly List<(string Namespace, string Name)> _gone = [];
    private long _listing;

    protected Lock Gate { get; } = new();

    /// <summary>Told after something changed that matters; may be called by any thread.</summary>
    public Action? Changed { get; set; }

    public int Count
    {
        get
        {
            lock (Gate)
            {
                return _objects.Count;
            }
        }
    }

    /// <summary>Adds what <paramref name="select"/> makes of each object.</summary>
    public void CopyTo<TResult>(ICollection<TResult> into, Func<T, TResult?> select)
        where TResult : class
    {
        lock (Gate)
        {
            foreach (var (value, _) in _objects.Values)
            {
                if (select(value) is { } result)
                {
                    into.Add(result);
                }
            }
        }
    }

    public T? Find(string ns, string name)
    {
        lock (Gate)
        {
            return _objects.TryGetValue((ns, name), out var found) ? found.Value : null;
        }
    }

    public void BeginList() => _listing++;

    public void Take(ApiMetadata head, string apiVersion, in ReadOnlySequence<byte> json)
    {
        var key = Key(head);
        // Reading takes time and happens outside of the lock: this thread alone writes.
        var before = Find(key.Namespace, key.Name);
        var now = Read(before, head, apiVersion, in json);
        lock (Gate)
        {
            CollectionsMarshal.GetValueRefOrAddDefault(_objects, key, out _) = (now, _listing);
        }
        if (!ReferenceEquals(before, now))
        {
            Replaced(before, now);
            Changed?.Invoke();
        }
    }

    public void EndList()
    {
        _gone.Clear();
        foreach (var (key, (_, listing)) in _objects)
        {
            if (listing != _listing)
            {
                _gone.Add(key);
            }
        }
        _gone.ForEach(Remove);
    }

    public void Remove(ApiMetadata head) => Remove(Key(head));

    public void Clear()
    {
        BeginList();
        EndList();
    }

    /// <summary>What is to be kept of an object; <paramref name="before"/> itself where nothing changed that matters.</summary>
    protected abstract T Read(T? before, ApiMetadata head, string apiVersion, in ReadOnlySequence<byte> json);

    /// <summary>Told of every change, before the others are; null where there was, or is, none.</summary>
    protected virtual void Replaced(T? before, T? now)
    {
    }

    private static (string Namespace, string Name) Key(ApiMetadata head) => (head.Namespace ?? "", head.Name ?? "");

    private void Remove((string Namespace, string Name) key)
    {
        (T Value, long Listing) removed;
        lock (Gate)
        {
            if (!_objects.Remove(key, out removed))
            {
                return;
            }
        }
        Replaced(removed.Value, null);
        Changed?.Invoke();
    }
}
