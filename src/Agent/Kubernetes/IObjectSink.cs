using System.Buffers;

namespace Keepalive.Agent.Kubernetes;

/// <summary>Receives the objects of one kind. Used by one thread at a time.</summary>
internal interface IObjectSink
{
    /// <summary>Begins a list of all objects.</summary>
    void BeginList();

    /// <summary>Takes the current version of an object.</summary>
    /// <param name="head">Its metadata, with a name.</param>
    /// <param name="apiVersion">The API version of the request.</param>
    /// <param name="json">The object. It is valid only until the call returns.</param>
    /// <exception cref="System.Text.Json.JsonException">The object is invalid.</exception>
    void Take(ApiMetadata head, string apiVersion, in ReadOnlySequence<byte> json);

    /// <summary>Ends a list: objects that were not in it are removed.</summary>
    void EndList();

    void Remove(ApiMetadata head);

    /// <summary>Removes all objects.</summary>
    void Clear();
}
