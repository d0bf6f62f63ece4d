namespace Keepalive.Agent.Running;

/// <summary>Event ids of the log. Tests and alerts wait for them: a number is never used again for something else.</summary>
internal static class EventIds
{
    public const int Started = 1;
    public const int Stopped = 2;
    public const int StateNotUnderstood = 3;
    public const int NotGivenBack = 4;
    public const int PolicyLoaded = 10;
    public const int PolicyRefused = 11;
    public const int PolicyDiagnostic = 12;
    public const int PolicyWarning = 13;
    public const int SocketSet = 20;
    public const int SocketRestored = 21;
    public const int SocketWouldChange = 22;
    public const int SocketFailed = 23;
    public const int SocketsLeftOut = 24;
    public const int PassDone = 30;
    public const int PassFailed = 31;
    public const int NamespacesFailed = 32;
    public const int NothingToSee = 33;
}
