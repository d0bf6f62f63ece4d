namespace Keepalive.Config;

/// <summary>One kind of problem: its stable code and how much it matters.</summary>
/// <param name="Code"><c>KA001</c> and up; never reused for something else.</param>
/// <param name="Severity">The same for every diagnostic with this code.</param>
/// <param name="Title">What kind of problem it is, in a few words.</param>
public sealed record DiagnosticKind(string Code, Severity Severity, string Title);

/// <summary>Every code that is reported about policies, in one place; from KA200 on, codes are the simulator's.</summary>
public static class DiagnosticCatalog
{
    // Files: KA001..KA009.
    internal static readonly DiagnosticKind CannotRead = Error("KA001", "the path cannot be read");
    internal static readonly DiagnosticKind TooLarge = Error("KA002", "the input is larger than any policy needs to be");
    internal static readonly DiagnosticKind NotText = Error("KA003", "the file is not UTF-8 text");
    public static readonly DiagnosticKind NoDocuments = Error("KA004", "there is nothing to read");
    internal static readonly DiagnosticKind MoreProblems = Error("KA005", "there are more problems than are shown");
    internal static readonly DiagnosticKind MoreRemarks = Note("KA006", "there are more remarks than are shown");

    // YAML: KA010..KA019.
    internal static readonly DiagnosticKind Syntax = Error("KA010", "the YAML cannot be parsed");
    internal static readonly DiagnosticKind Tab = Error("KA011", "a tab is used for indentation");
    internal static readonly DiagnosticKind DuplicateKey = Error("KA012", "a key is written twice");
    internal static readonly DiagnosticKind UnsupportedYaml = Error("KA013", "a YAML feature Kubernetes objects do not use");
    internal static readonly DiagnosticKind BadAlias = Error("KA014", "an alias that leads nowhere, or into itself");
    internal static readonly DiagnosticKind TooDeep = Error("KA015", "the nesting is too deep");
    internal static readonly DiagnosticKind AliasExplosion = Error("KA016", "aliases multiply the document");

    // Objects: KA020..KA029.
    internal static readonly DiagnosticKind NotAnObject = Error("KA020", "a document is not a Kubernetes object");
    internal static readonly DiagnosticKind SkippedKind = Note("KA021", "a kind that plays no part here");
    internal static readonly DiagnosticKind WrongApiVersion = Error("KA022", "the apiVersion does not go with the kind");
    internal static readonly DiagnosticKind UnknownKey = Error("KA023", "an unknown key");
    internal static readonly DiagnosticKind WrongType = Error("KA024", "a value of the wrong type");
    internal static readonly DiagnosticKind Missing = Error("KA025", "a required value is missing");
    internal static readonly DiagnosticKind BadName = Error("KA026", "not a valid Kubernetes name");
    internal static readonly DiagnosticKind DefinedTwice = Error("KA027", "an object is defined twice");
    internal static readonly DiagnosticKind BadAnnotation = Error("KA028", "an annotation the agent cannot read");
    internal static readonly DiagnosticKind UnknownAnnotation = Warning("KA029", "an annotation without effect");

    // Values: KA030..KA039.
    internal static readonly DiagnosticKind BadDuration = Error("KA030", "not a duration");
    internal static readonly DiagnosticKind DurationRange = Error("KA031", "a duration outside its range");
    internal static readonly DiagnosticKind DurationTruncated = Warning("KA032", "a duration that changes when cut to whole seconds");
    internal static readonly DiagnosticKind NumberRange = Error("KA033", "a number outside its range");
    internal static readonly DiagnosticKind BadValue = Error("KA034", "not one of the values allowed");
    internal static readonly DiagnosticKind BadHost = Error("KA035", "not a host name");
    internal static readonly DiagnosticKind BadAddress = Error("KA036", "not an address");
    internal static readonly DiagnosticKind HostBits = Warning("KA037", "a CIDR block with host bits set");
    internal static readonly DiagnosticKind Conflict = Error("KA038", "values that exclude each other");
    internal static readonly DiagnosticKind Repeated = Error("KA039", "a value that is listed twice");

    // What the policies amount to: KA040 and up.
    internal static readonly DiagnosticKind NoKeepalive = Note("KA040", "a policy without tcpKeepalive");
    internal static readonly DiagnosticKind NotEnforced = Note("KA041", "settings only a proxy can enforce");
    internal static readonly DiagnosticKind NotEvaluated = Note("KA042", "fields that cannot be evaluated");
    public static readonly DiagnosticKind SelectsNothing = Warning("KA043", "a policy entry that selects nothing");
    public static readonly DiagnosticKind NoAddress = Warning("KA044", "a destination without an address");
    internal static readonly DiagnosticKind PolicyLost = Warning("KA045", "a policy that loses a destination to another");
    internal static readonly DiagnosticKind AddressShared = Warning("KA046", "one address under two policies");
    public static readonly DiagnosticKind NoSuchPort = Warning("KA047", "a port no selected destination has");
    public static readonly DiagnosticKind HostUnresolved = Warning("KA048", "a host name without addresses");
    internal static readonly DiagnosticKind UnknownAddresses = Note("KA049", "addresses these files cannot tell");
    internal static readonly DiagnosticKind TooManyRules = Error("KA050", "the policies multiply beyond any use");
    internal static readonly DiagnosticKind AcceptedOnly = Note("KA051", "a policy for accepted connections");
    public static readonly DiagnosticKind LastAnswer = Warning("KA052", "a host name that no longer resolves");
    public static readonly DiagnosticKind TooManyAddresses = Warning("KA053", "a host name with more addresses than anyone needs");
    internal static readonly DiagnosticKind SeveralServices = Note("KA054", "more than one service behind a VirtualDestination");

    internal static readonly DiagnosticKind NewerField = Note("KA055", "a field of a newer version of the kind");

    // Against balancers: KA060 and up.
    internal static readonly DiagnosticKind BalancerForgets = Error("KA060", "a balancer forgets the connection before it is probed");
    internal static readonly DiagnosticKind PayloadNeeded = Error("KA061", "a balancer that keepalive cannot keep a connection through");
    internal static readonly DiagnosticKind NoMargin = Warning("KA062", "one lost probe and the balancer forgets the connection");
    internal static readonly DiagnosticKind HastyProbes = Warning("KA063", "probes that end connections in a brief outage");
    internal static readonly DiagnosticKind ForgottenBy = Note("KA064", "balancers that would forget the connection");
    internal static readonly DiagnosticKind TimeoutOutOfRange = Warning("KA065", "an idle timeout that the balancer cannot have");

    /// <summary>Every code, in order.</summary>
    public static IReadOnlyList<DiagnosticKind> All { get; } =
    [
        CannotRead, TooLarge, NotText, NoDocuments, MoreProblems, MoreRemarks,
        Syntax, Tab, DuplicateKey, UnsupportedYaml, BadAlias, TooDeep, AliasExplosion,
        NotAnObject, SkippedKind, WrongApiVersion, UnknownKey, WrongType, Missing, BadName, DefinedTwice, BadAnnotation, UnknownAnnotation,
        BadDuration, DurationRange, DurationTruncated, NumberRange, BadValue, BadHost, BadAddress, HostBits, Conflict, Repeated,
        NoKeepalive, NotEnforced, NotEvaluated, SelectsNothing, NoAddress, PolicyLost, AddressShared, NoSuchPort, HostUnresolved,
        UnknownAddresses, TooManyRules, AcceptedOnly, LastAnswer, TooManyAddresses, SeveralServices, NewerField,
        BalancerForgets, PayloadNeeded, NoMargin, HastyProbes, ForgottenBy, TimeoutOutOfRange,
    ];

    private static DiagnosticKind Error(string code, string title) => new(code, Severity.Error, title);

    private static DiagnosticKind Warning(string code, string title) => new(code, Severity.Warning, title);

    private static DiagnosticKind Note(string code, string title) => new(code, Severity.Note, title);
}
