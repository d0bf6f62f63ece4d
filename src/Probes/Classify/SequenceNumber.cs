namespace Keepalive.Probes.Classify;

/// <summary>Comparison of sequence numbers, which wrap around (RFC 9293, 3.4): right for numbers less than 2³¹ apart.</summary>
internal static class SequenceNumber
{
    public static bool IsAfter(uint a, uint b) => (int)(a - b) > 0;

    public static bool IsBefore(uint a, uint b) => (int)(a - b) < 0;

    public static uint Later(uint a, uint b) => IsAfter(a, b) ? a : b;
}
