namespace Keepalive.Linux.Bpf;

/// <summary>A program could not be loaded or attached.</summary>
/// <param name="what">The call.</param>
/// <param name="errno">Why it failed, as an errno.</param>
/// <param name="detail">The message of libbpf or the kernel's verifier; one line, or empty.</param>
public sealed class BpfException(string what, int errno, string detail)
    : IOException($"{what}: {new LinuxException("bpf", errno).Message["bpf: ".Length..]}{(detail.Length == 0 ? "" : "; " + detail)}")
{
    /// <summary>The call.</summary>
    public string What { get; } = what;

    public int Errno { get; } = errno;

    /// <summary>The message of libbpf or the verifier.</summary>
    public string Detail { get; } = detail;
}
