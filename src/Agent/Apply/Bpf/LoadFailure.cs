using Keepalive.Linux;
using Keepalive.Linux.Bpf;

namespace Keepalive.Agent.Apply.Bpf;

/// <summary>A refusal of the programs by the kernel: it is too old for them, or newer than they are.</summary>
/// <param name="Needs">The kernel or agent that is needed instead.</param>
/// <param name="Detail">The finding.</param>
/// <param name="Reason">Both in one sentence.</param>
internal sealed record LoadFailure(string Needs, string Detail, string Reason)
{
    private const string NewerAgent = "a newer keepalive-agent";
    private const string Relocation = "CO-RE relocation ";

    /// <summary>The first release whose iterators can set sockets. Distributions backport this, so the programs are tried on older
    /// releases, too.</summary>
    private static readonly Version s_oldest = new(5, 15);

    /// <summary>Explains a refusal; null if it says nothing about the kernel's age.</summary>
    public static LoadFailure? Of(BpfException e, string release)
    {
        if (e.Errno is Errno.EPERM or Errno.ENOMEM || e.Detail.Length == 0)
        {
            return null;
        }
        if (KernelRelease.Parse(release) is { } version && version < s_oldest)
        {
            return new LoadFailure($"Linux {s_oldest}", e.Message, $"it needs Linux {s_oldest}, and this is Linux {release} ({e.Message})");
        }
        if (Field(e.Detail) is { } field)
        {
            var unknown = $"this build does not know the structures of Linux {release}: {field} was not found";
            return new LoadFailure(NewerAgent, unknown, $"{unknown}; use {NewerAgent}");
        }
        return new LoadFailure(NewerAgent, e.Message, $"Linux {release} refuses the programs of this build ({e.Message}); use {NewerAgent}");
    }

    /// <summary>The field that libbpf did not find in the kernel's types: <c>… CO-RE relocation &lt;byte_off&gt; [77] struct sock.field
    /// (0:1 @ offset 8)</c>.</summary>
    private static string? Field(string detail)
    {
        var at = detail.IndexOf(Relocation, StringComparison.Ordinal);
        if (at < 0)
        {
            return null;
        }
        var text = detail[(at + Relocation.Length)..];
        var begin = text.IndexOf("] ", StringComparison.Ordinal);
        var end = text.IndexOf(" (", StringComparison.Ordinal);
        return begin >= 0 && end > begin ? text[(begin + 2)..end] : text;
    }
}
