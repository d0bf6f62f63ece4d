namespace Keepalive.Agent.Log;

/// <summary>Event ids of the log. Tests and alerts wait for them: a number is never used again for something else.</summary>
internal static class EventIds
{
    public const int Started = 1;
    public const int Stopped = 2;
    public const int StateNotUnderstood = 3;
    public const int NotGivenBack = 4;
    public const int DatapathFallback = 5;
    public const int DatapathTrouble = 6;
    public const int ArrivalsLost = 7;
    public const int Ready = 8;
    public const int StartProblem = 9;
    public const int PolicyLoaded = 10;
    public const int PolicyRefused = 11;
    public const int PolicyDiagnostic = 12;
    public const int PolicyWarning = 13;
    public const int PoliciesNotKept = 14;
    public const int KeptPoliciesUnreadable = 15;
    public const int SocketSet = 20;
    public const int SocketRestored = 21;
    public const int SocketWouldChange = 22;
    public const int SocketFailed = 23;
    public const int SocketsLeftOut = 24;
    public const int FailuresLeftOut = 25;
    public const int ShortUserTimeout = 26;
    public const int ShortUserTimeoutsLeftOut = 27;
    public const int PassDone = 30;
    public const int PassFailed = 31;
    public const int NamespacesFailed = 32;
    public const int NothingToSee = 33;
    public const int ConnectionDead = 40;
    public const int EndpointOut = 41;
    public const int EndpointBack = 42;
    public const int CountsDiffer = 43;
    public const int LivenessLeftOut = 44;
    public const int CaptureFailed = 45;
    public const int CaptureUnavailable = 46;
    public const int DestroyedUnavailable = 47;
    public const int CaptureContradicted = 48;
    public const int BackendsUnknown = 49;
    public const int CollectorFailed = 50;
    public const int SocketUnavailable = 51;
    public const int NotifyFailed = 52;
    public const int AgentCheckNotUnderstood = 53;
    public const int TooManyConnections = 54;
    public const int KubernetesTrouble = 60;
    public const int KubernetesRecovered = 61;
    public const int KubernetesObjectRefused = 62;
    public const int KubernetesObjectWarning = 63;
    public const int KubernetesEventsFailed = 64;
    public const int KubernetesObjectsLeftOut = 65;
    public const int KeptClusterInForce = 66;
    public const int ClusterNotKept = 67;
    public const int KeptClusterUnreadable = 68;
    public const int PolicySourceChosen = 69;
    public const int DestinationRulesUnused = 70;
}
