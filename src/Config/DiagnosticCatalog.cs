namespace Keepalive.Config;

/// <summary>One kind of problem: its stable code and how much it matters.</summary>
/// <param name="Code"><c>KA001</c> and up; never reused for something else.</param>
/// <param name="Severity">The same for every diagnostic with this code.</param>
/// <param name="Title">The kind of problem in a few words, as in docs/policies.md.</param>
public sealed record DiagnosticKind(string Code, Severity Severity, string Title);

/// <summary>Every code that is reported about policies, in one place; from KA200 on, codes are the simulator's.</summary>
public static class DiagnosticCatalog
{
    // Files: KA001..KA009.
    internal static readonly DiagnosticKind CannotRead = Error("KA001", "path cannot be read");
    internal static readonly DiagnosticKind TooLarge = Error("KA002", "input too large");
    internal static readonly DiagnosticKind NotText = Error("KA003", "not UTF-8 text");
    public static readonly DiagnosticKind NoDocuments = Error("KA004", "no input");
    internal static readonly DiagnosticKind MoreProblems = Error("KA005", "more errors and warnings than are shown");
    internal static readonly DiagnosticKind MoreRemarks = Note("KA006", "more notes than are shown");

    // YAML: KA010..KA019.
    internal static readonly DiagnosticKind Syntax = Error("KA010", "invalid YAML");
    internal static readonly DiagnosticKind Tab = Error("KA011", "tab used for indentation");
    internal static readonly DiagnosticKind DuplicateKey = Error("KA012", "duplicate key");
    internal static readonly DiagnosticKind UnsupportedYaml = Error("KA013", "unsupported YAML feature");
    internal static readonly DiagnosticKind BadAlias = Error("KA014", "invalid alias");
    internal static readonly DiagnosticKind TooDeep = Error("KA015", "nesting too deep");
    internal static readonly DiagnosticKind AliasExplosion = Error("KA016", "alias expansion too large");
    internal static readonly DiagnosticKind Template = Error("KA017", "template or placeholder that is not filled");

    // Objects: KA020..KA029.
    internal static readonly DiagnosticKind NotAnObject = Error("KA020", "document is not a Kubernetes object");
    internal static readonly DiagnosticKind SkippedKind = Note("KA021", "kind skipped");
    internal static readonly DiagnosticKind WrongApiVersion = Error("KA022", "wrong apiVersion for the kind");
    internal static readonly DiagnosticKind UnknownKey = Error("KA023", "unknown key");
    internal static readonly DiagnosticKind WrongType = Error("KA024", "wrong type");
    internal static readonly DiagnosticKind Missing = Error("KA025", "required value missing");
    internal static readonly DiagnosticKind BadName = Error("KA026", "invalid Kubernetes name");
    internal static readonly DiagnosticKind DefinedTwice = Error("KA027", "duplicate object");
    /// <summary>KA028: an annotation whose value cannot be read.</summary>
    public static readonly DiagnosticKind BadAnnotation = Error("KA028", "invalid annotation value");
    internal static readonly DiagnosticKind UnknownAnnotation = Warning("KA029", "unknown annotation");

    // Values: KA030..KA039.
    internal static readonly DiagnosticKind BadDuration = Error("KA030", "invalid duration");
    internal static readonly DiagnosticKind DurationRange = Error("KA031", "duration out of range");
    internal static readonly DiagnosticKind DurationTruncated = Warning("KA032", "duration truncated to whole seconds");
    internal static readonly DiagnosticKind NumberRange = Error("KA033", "number out of range");
    internal static readonly DiagnosticKind BadValue = Error("KA034", "value not allowed");
    internal static readonly DiagnosticKind BadHost = Error("KA035", "invalid host name");
    internal static readonly DiagnosticKind BadAddress = Error("KA036", "invalid address");
    internal static readonly DiagnosticKind HostBits = Warning("KA037", "host bits set in a CIDR block");
    internal static readonly DiagnosticKind Conflict = Error("KA038", "conflicting values");
    internal static readonly DiagnosticKind Repeated = Error("KA039", "repeated value");

    // Effects of the policies: KA040 and up.
    internal static readonly DiagnosticKind NoKeepalive = Note("KA040", "policy without tcpKeepalive");
    internal static readonly DiagnosticKind NotEnforced = Note("KA041", "settings that only a proxy can enforce");
    internal static readonly DiagnosticKind NotEvaluated = Note("KA042", "selector fields that cannot be evaluated");
    public static readonly DiagnosticKind SelectsNothing = Warning("KA043", "policy entry selects nothing");
    public static readonly DiagnosticKind NoAddress = Warning("KA044", "destination without an address");
    internal static readonly DiagnosticKind PolicyLost = Warning("KA045", "policy overridden for a destination");
    internal static readonly DiagnosticKind AddressShared = Warning("KA046", "address shared by destinations of different policies");
    public static readonly DiagnosticKind NoSuchPort = Warning("KA047", "no selected destination has this port");
    public static readonly DiagnosticKind HostUnresolved = Warning("KA048", "host name without addresses");
    internal static readonly DiagnosticKind UnknownAddresses = Note("KA049", "addresses unknown from this input");
    internal static readonly DiagnosticKind TooManyRules = Error("KA050", "too many rules");
    internal static readonly DiagnosticKind AcceptedOnly = Note("KA051", "policy for accepted connections only");
    public static readonly DiagnosticKind LastAnswer = Warning("KA052", "host name no longer resolves");
    public static readonly DiagnosticKind TooManyAddresses = Warning("KA053", "host name with too many addresses");
    internal static readonly DiagnosticKind SeveralServices = Note("KA054", "several Services selected by a VirtualDestination");

    internal static readonly DiagnosticKind NewerField = Note("KA055", "field of a newer version of the kind");
    internal static readonly DiagnosticKind MisspeltField = Warning("KA056", "misspelt field of an object of the API server");
    internal static readonly DiagnosticKind EmptyKeepalive = Warning("KA057", "keepalive settings that are empty");
    internal static readonly DiagnosticKind NoEffect = Warning("KA058", "object without effect");
    internal static readonly DiagnosticKind NoPortLeft = Warning("KA059", "settings that no port is left for");

    // Against balancers: KA060 and up.
    internal static readonly DiagnosticKind BalancerForgets = Error("KA060", "first probe too late for the balancer");
    internal static readonly DiagnosticKind PayloadNeeded = Error("KA061", "keepalive cannot help with this balancer");
    internal static readonly DiagnosticKind NoMargin = Warning("KA062", "one lost probe exceeds the idle timeout");
    internal static readonly DiagnosticKind HastyProbes = Warning("KA063", "probes end connections in a short outage");
    internal static readonly DiagnosticKind ForgottenBy = Note("KA064", "balancers that would drop the connection");
    internal static readonly DiagnosticKind TimeoutOutOfRange = Warning("KA065", "idle timeout not possible with this balancer");
    internal static readonly DiagnosticKind DependsOnNamespace = Warning("KA066", "time left to the network namespace");
    internal static readonly DiagnosticKind ProbesUnanswered = Error("KA068", "keepalive ends connections through this balancer");

    // Continues the warnings about policies: KA070 and up.
    internal static readonly DiagnosticKind NotInherited = Note("KA070", "port that does not inherit the rule's tcpKeepalive");
    internal static readonly DiagnosticKind MeshTooWide = Warning("KA071", "mesh-wide keepalive for too many destinations");
    internal static readonly DiagnosticKind NotAPolicyHere = Note("KA072", "keepalive that is judged and not enforced");
    internal static readonly DiagnosticKind KeepaliveOff = Warning("KA073", "keepalive values with keepalive off");
    internal static readonly DiagnosticKind ShortUserTimeout = Warning("KA074", "user timeout shorter than the probes take");
    internal static readonly DiagnosticKind OneNamespace = Note("KA075", "DestinationRule for the clients of one namespace");
    internal static readonly DiagnosticKind LongUserTimeout = Warning("KA076", "user timeout that lets dead connections live longer");
    internal static readonly DiagnosticKind HiddenElsewhere = Note("KA077", "DestinationRule that hides keepalive from the clients of one namespace");

    /// <summary>KA080: a pod or namespace that chooses values below the least that its node allows.</summary>
    public static readonly DiagnosticKind OwnBelowLeast = Warning("KA080", "pod's own keepalive below the least");

    /// <summary>KA081: a policy for certain workloads, where the agent does not know the workloads.</summary>
    public static readonly DiagnosticKind WorkloadsUnknown = Warning("KA081", "policy for certain pods where pods are unknown");

    /// <summary>Every code, in order.</summary>
    public static IReadOnlyList<DiagnosticKind> All { get; } =
    [
        CannotRead, TooLarge, NotText, NoDocuments, MoreProblems, MoreRemarks,
        Syntax, Tab, DuplicateKey, UnsupportedYaml, BadAlias, TooDeep, AliasExplosion, Template,
        NotAnObject, SkippedKind, WrongApiVersion, UnknownKey, WrongType, Missing, BadName, DefinedTwice, BadAnnotation, UnknownAnnotation,
        BadDuration, DurationRange, DurationTruncated, NumberRange, BadValue, BadHost, BadAddress, HostBits, Conflict, Repeated,
        NoKeepalive, NotEnforced, NotEvaluated, SelectsNothing, NoAddress, PolicyLost, AddressShared, NoSuchPort, HostUnresolved,
        UnknownAddresses, TooManyRules, AcceptedOnly, LastAnswer, TooManyAddresses, SeveralServices, NewerField,
        MisspeltField, EmptyKeepalive, NoEffect, NoPortLeft,
        BalancerForgets, PayloadNeeded, NoMargin, HastyProbes, ForgottenBy, TimeoutOutOfRange, DependsOnNamespace, ProbesUnanswered,
        NotInherited, MeshTooWide, NotAPolicyHere, KeepaliveOff, ShortUserTimeout, OneNamespace, LongUserTimeout, HiddenElsewhere, OwnBelowLeast, WorkloadsUnknown,
    ];

    /// <summary>Whether a code is about YAML itself.</summary>
    internal static bool IsOfSyntax(string code) => string.CompareOrdinal(code, Syntax.Code) >= 0 && string.CompareOrdinal(code, AliasExplosion.Code) <= 0;

    private static DiagnosticKind Error(string code, string title) => new(code, Severity.Error, title);

    private static DiagnosticKind Warning(string code, string title) => new(code, Severity.Warning, title);

    private static DiagnosticKind Note(string code, string title) => new(code, Severity.Note, title);
}
