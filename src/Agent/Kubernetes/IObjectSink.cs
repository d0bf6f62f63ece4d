using System.Buffers;

namespace Keepalive.Agent.Kubernetes;

/// <summary>Where the objects of one kind go. Used by one thread at a time.</summary>
internal interface IObjectSink
{
    /// <summary>All there are follow.</summary>
    void BeginList();

    /// <summary>An object as it is now.</summary>
    /// <param name="head">What every object has; name and all are there.</param>
    /// <param name="apiVersion">The version it was asked for in.</param>
    /// <param name="json">The object, gone when the call returns.</param>
    /// <exception cref="System.Text.Json.JsonException">It is not to be made sense of.</exception>
    void Take(ApiMetadata head, string apiVersion, in ReadOnlySequence<byte> json);

    /// <summary>What was not taken since <see cref="BeginList"/> is gone.</summary>
    void EndList();

    void Remove(ApiMetadata head);

    /// <summary>There are none any more.</summary>
    void Clear();
}
