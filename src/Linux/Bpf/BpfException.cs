namespace Keepalive.Linux.Bpf;

/// <summary>A program could not be loaded or attached.</summary>
/// <param name="what">What was tried.</param>
/// <param name="errno">Why it failed, as an errno.</param>
/// <param name="detail">What libbpf or the kernel's verifier had to say; one line, or empty.</param>
public sealed class BpfException(string what, int errno, string detail)
    : IOException($"{what}: {new LinuxException("bpf", errno).Message["bpf: ".Length..]}{(detail.Length == 0 ? "" : "; " + detail)}")
{
    /// <summary>What was tried.</summary>
    public string What { get; } = what;

    public int Errno { get; } = errno;

    /// <summary>What libbpf or the verifier said.</summary>
    public string Detail { get; } = detail;
}
