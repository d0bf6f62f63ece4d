using System.Text.Json.Nodes;

namespace Keepalive.Testbed;

/// <summary>One kind of object on the fake server: its current objects, and its changes since the last compaction.</summary>
internal sealed class FakeKind(string group, string version, string plural, string kind)
{
    private TaskCompletionSource _more = new(TaskCreationOptions.RunContinuationsAsynchronously);

    public string Group => group;

    public string Version => version;

    public string Plural => plural;

    public string Kind => kind;

    public string ApiVersion => group.Length == 0 ? version : $"{group}/{version}";

    public Dictionary<(string Namespace, string Name), JsonObject> Objects { get; } = [];

    /// <summary>The changes with their versions, the oldest first.</summary>
    public List<(long Version, string Type, JsonObject Object)> Log { get; } = [];

    /// <summary>Watches from before this version get the error that it is gone.</summary>
    public long CompactedTo { get; set; }

    /// <summary>The status to answer every request with; null for none.</summary>
    public int? Refusal { get; set; }

    /// <summary>Whether requests are accepted and never answered.</summary>
    public bool IsStuck { get; set; }

    /// <summary>The Retry-After of a refusal, in seconds.</summary>
    public int? RetryAfter { get; set; }

    /// <summary>A body for all answers to lists and watches; null for the requested objects.</summary>
    public string? Garbage { get; set; }

    /// <summary>The whole body of a watch with its line end, after which it ends; null for the real events.</summary>
    public string? Line { get; set; }

    /// <summary>Whether watches are silent from now on, without being closed.</summary>
    public bool IsSilent { get; set; }

    /// <summary>Whether every piece of a list promises another piece.</summary>
    public bool IsEndless { get; set; }

    /// <summary>Whether lists stop in the middle, without being closed.</summary>
    public bool IsHalf { get; set; }

    /// <summary>Whether answers are sent byte by byte.</summary>
    public bool IsSlow { get; set; }

    /// <summary>Completes at the next change.</summary>
    public Task More => _more.Task;

    public void Tell()
    {
        var told = _more;
        _more = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        told.SetResult();
    }
}
