using System.Buffers;
using System.Text.Json;
using Keepalive.Config.Resources;

namespace Keepalive.Config.Reading;

/// <summary>One object as the API server sends it.</summary>
/// <param name="Fingerprint">Tells contents apart: the same for two versions of an object that differ only in what no reader looks at.</param>
/// <param name="Read">The resources; null if the contents are unchanged.</param>
public readonly record struct ObjectRead(ulong Fingerprint, ReadResult? Read);

/// <summary>Reads and validates resources from YAML.</summary>
public static class PolicyReader
{
    /// <summary>Reads files and directories: of a directory its own <c>*.yaml</c> and <c>*.yml</c>, hidden ones left out.</summary>
    /// <returns>All that could be read. No exception is thrown for bad input: a missing path or malformed text is a diagnostic.</returns>
    /// <param name="paths">The paths; <c>-</c> is the standard input, where there is one.</param>
    /// <param name="standardInput">The stream for <c>-</c>, or null.</param>
    public static ReadResult Read(IEnumerable<string> paths, Stream? standardInput = null) => Read(paths, static (_, _) => { }, standardInput);

    /// <inheritdoc cref="Read(IEnumerable{string}, Stream?)"/>
    /// <param name="paths">The paths; <c>-</c> is the standard input, where there is one.</param>
    /// <param name="take">Receives the path and the text of each file that could be opened.</param>
    /// <param name="standardInput">The stream for <c>-</c>, or null.</param>
    public static ReadResult Read(IEnumerable<string> paths, Action<string, string> take, Stream? standardInput = null)
    {
        ArgumentNullException.ThrowIfNull(paths);
        ArgumentNullException.ThrowIfNull(take);
        var session = new ReadSession();
        var files = new PolicyFiles(session.Diagnostics, standardInput);
        foreach (var (path, text) in files.Read(paths))
        {
            take(path, text);
            session.ReadText(text, path);
        }

        return session.ToResult(files.Count) with { Found = [.. files.Found], IsWhole = files.IsWhole };
    }

    /// <summary>Reads YAML that is already in memory; JSON is YAML too.</summary>
    /// <param name="text">Any number of documents.</param>
    /// <param name="fileName">Its name in diagnostics.</param>
    public static ReadResult ReadText(string text, string fileName)
    {
        ArgumentNullException.ThrowIfNull(text);
        ArgumentNullException.ThrowIfNull(fileName);
        var session = new ReadSession();
        session.ReadText(text, fileName);
        return session.ToResult(files: 1);
    }

    /// <summary>Whether a kind is one that is read.</summary>
    public static bool IsKnown(string kind) => ResourceKind.All.Any(known => known.Name == kind);

    /// <summary>Reads an object of the Kubernetes API.</summary>
    /// <param name="json">The object. The items of a list need no <c>apiVersion</c> and <c>kind</c>.</param>
    /// <param name="apiVersion">The version it was asked for in.</param>
    /// <param name="kind">Its kind.</param>
    /// <param name="source">Its name in diagnostics, such as <c>ConnectionPolicy bookinfo/tcp-keepalive</c>.</param>
    /// <param name="known">The fingerprint of contents that need not be read again.</param>
    /// <exception cref="JsonException">That is no JSON object.</exception>
    public static ObjectRead ReadObject(in ReadOnlySequence<byte> json, string apiVersion, string kind, string source, ulong? known)
    {
        if (kind == EndpointSlice.KindName && EndpointSliceJson.Read(in json, apiVersion, out var fingerprint) is { } slice)
        {
            return new ObjectRead(fingerprint, fingerprint == known ? null : new ReadResult(new ResourceSet([slice]), []));
        }

        return ReadTree(in json, apiVersion, kind, source, known);
    }

    /// <summary>The same through a tree, for any object.</summary>
    internal static ObjectRead ReadTree(in ReadOnlySequence<byte> json, string apiVersion, string kind, string source, ulong? known)
    {
        MappingNode root;
        ulong fingerprint;
        try
        {
            root = JsonTreeReader.Read(in json, new SourcePosition(source, 0, 0), kind, out fingerprint);
        }
        catch (InvalidOperationException e)
        {
            throw new JsonException(e.Message, e);   // half of a surrogate pair in a string
        }

        if (fingerprint == known)
        {
            return new ObjectRead(fingerprint, null);
        }

        var session = new ReadSession(fromServer: true);
        session.ReadObject(root, apiVersion, kind);
        return new ObjectRead(fingerprint, session.ToResult(files: 0));
    }
}
