using System.Buffers;
using System.Runtime.InteropServices;

namespace Keepalive.Agent.Kubernetes;

/// <summary>The last known objects of one kind, by name. Written by the kind's watch, read by other threads.</summary>
/// <typeparam name="T">The stored data of an object.</typeparam>
internal abstract class ObjectStore<T> : IObjectSink
    where T : class
{
    private readonly Dictionary<(string Namespace, string Name), (T Value, long Listing)> _objects = [];
    private readonly List<(string Namespace, string Name)> _gone = [];
    private long _listing;

    protected Lock Gate { get; } = new();

    /// <summary>Called after a change that matters, by any thread.</summary>
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

    /// <summary>Adds the result of <paramref name="select"/> for each object, if it is not null.</summary>
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

    /// <summary>Calls <paramref name="visit"/> for each object with its namespace and name. Changes wait meanwhile.</summary>
    public void Visit(Action<string, string, T> visit)
    {
        lock (Gate)
        {
            foreach (var (key, (value, _)) in _objects)
            {
                visit(key.Namespace, key.Name, value);
            }
        }
    }

    /// <summary>Whether <paramref name="condition"/> is true for any object.</summary>
    public bool Any(Func<T, bool> condition)
    {
        lock (Gate)
        {
            foreach (var (value, _) in _objects.Values)
            {
                if (condition(value))
                {
                    return true;
                }
            }
            return false;
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
        // Reading takes time, so it happens outside of the lock. Only this thread writes.
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

    /// <summary>Returns the data to store for an object; <paramref name="before"/> itself if nothing changed that matters.</summary>
    protected abstract T Read(T? before, ApiMetadata head, string apiVersion, in ReadOnlySequence<byte> json);

    /// <summary>Handles every change, before <see cref="Changed"/> is called. A parameter is null if there was, or is, no object.</summary>
    protected virtual void Replaced(T? before, T? now)
    {
    }

    private static (string Namespace, string Name) Key(ApiMetadata head) => (SharedNames.Of(head.Namespace ?? ""), head.Name ?? "");

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
