using System.Text.Json.Nodes;

namespace Keepalive.Testbed;

/// <summary>One kind of object that the fake server has: its objects now, and what became of them since the last compaction.</summary>
internal sealed class FakeKind(string group, string version, string plural, string kind)
{
    private TaskCompletionSource _more = new(TaskCreationOptions.RunContinuationsAsynchronously);

    public string Group => group;

    public string Version => version;

    public string Plural => plural;

    public string Kind => kind;

    public string ApiVersion => group.Length == 0 ? version : $"{group}/{version}";

    public Dictionary<(string Namespace, string Name), JsonObject> Objects { get; } = [];

    /// <summary>Each change with its version, oldest first.</summary>
    public List<(long Version, string Type, JsonObject Object)> Log { get; } = [];

    /// <summary>Watches from before this version are told that it is gone.</summary>
    public long CompactedTo { get; set; }

    /// <summary>The status to answer every request with; null is none.</summary>
    public int? Refusal { get; set; }

    /// <summary>Whether requests are taken and never answered.</summary>
    public bool IsStuck { get; set; }

    /// <summary>When a refusal says to ask again, in seconds.</summary>
    public int? RetryAfter { get; set; }

    /// <summary>What to answer lists and watches with instead; null is what they ask for.</summary>
    public string? Garbage { get; set; }

    /// <summary>All that is sent on a watch, with the end of its line, before it ends; null is what has happened.</summary>
    public string? Line { get; set; }

    /// <summary>Whether watches are silent from now on, without being closed.</summary>
    public bool IsSilent { get; set; }

    /// <summary>Whether each piece of a list says that there is another one.</summary>
    public bool IsEndless { get; set; }

    /// <summary>Whether answers come a byte at a time.</summary>
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
