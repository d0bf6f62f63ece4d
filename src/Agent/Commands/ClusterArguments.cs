using System.CommandLine;
using System.CommandLine.Parsing;
using Keepalive.Agent.Kubernetes;
using Keepalive.Agent.Support;
using Keepalive.Config;
using Keepalive.Linux;

namespace Keepalive.Agent.Commands;

/// <summary>The options about the cluster's API.</summary>
internal sealed class ClusterArguments
{
    /// <summary>Whether to use the API. It is not a bool?, because the parser accepts only true and false as values of that type.</summary>
    private enum Use
    {
        Auto,
        Off,
        On,
    }

    private readonly Option<Use> _kubernetes = WordOption.Limit(
        new Option<Use>("--kubernetes") { Description = "Policies also from the cluster's API (default auto: in a pod)" },
        ("auto", Use.Auto),
        ("off", Use.Off),
        ("on", Use.On));

    private readonly Option<Uri?> _api = new("--kubernetes-api")
    {
        Description = "Address of the API, like http://127.0.0.1:8001 of 'kubectl proxy'",
        HelpName = "URL",
        CustomParser = result =>
        {
            var text = result.Tokens.Count == 1 ? result.Tokens[0].Value : "";
            if (Uri.TryCreate(text.EndsWith('/') ? text : text + "/", UriKind.Absolute, out var server) && server.Scheme is "http" or "https"
                && server is { Query: "", Fragment: "", UserInfo: "" })
            {
                return server;
            }
            result.AddError($"--kubernetes-api takes an address like http://127.0.0.1:8001, not '{text}'");
            return null;
        },
    };

    private readonly Option<PolicyOrigin> _from = WordOption.Limit(
        new Option<PolicyOrigin>("--from")
        {
            Description = "Kind of policies (default auto: Gloo's, else Istio's)",
        },
        ("auto", PolicyOrigin.Auto),
        ("gloo", PolicyOrigin.Gloo),
        ("istio", PolicyOrigin.Istio),
        ("both", PolicyOrigin.Both));

    private readonly Option<bool> _revisions = new("--mesh-revisions") { Description = "Mesh-wide keepalive of all revisions of Istio" };

    private readonly Option<bool> _proxies = new("--proxy-policies") { Description = "Policies also of Envoy Gateway, kgateway and Gloo Edge" };

    private readonly Option<string?> _node = new("--node-name")
    {
        Description = "The node's name in the cluster (default: the variable NODE_NAME)",
        HelpName = "NAME",
    };

    private readonly Option<string[]> _namespaces = Names("--namespaces", "Set only sockets of pods in these namespaces");

    private readonly Option<string[]> _excluded = Names("--exclude-namespaces", "Skip sockets of pods in these namespaces");

    /// <summary>The options that <see cref="AddForPodsTo"/> adds.</summary>
    public IEnumerable<Option> All => [_kubernetes, _api, _node];

    /// <summary>Adds all the options to a command.</summary>
    public void AddTo(Command command) => Add(command, [_kubernetes, _api, _from, _revisions, _proxies, _node, _namespaces, _excluded]);

    /// <summary>Adds the options that are necessary to know the node's pods.</summary>
    public void AddForPodsTo(Command command)
    {
        _kubernetes.Description = "Read the node's pods from the cluster's API (default auto: in a pod)";
        Add(command, [_kubernetes, _api, _node]);
    }

    private void Add(Command command, Option[] options)
    {
        foreach (var option in options)
        {
            command.Options.Add(option);
        }
        command.AddRule(result =>
        {
            if (result.GetValue(_kubernetes) == Use.On && Access(result) is null)
            {
                result.AddError("--kubernetes on needs a pod with a service account, or --kubernetes-api");
                return;
            }
            if (options.Contains(_node) && NodeName(result) is { } node && !IsName(node, 253))
            {
                result.AddError($"{(result.GetValue(_node) is null ? "the variable NODE_NAME" : _node.Name)} takes a node's name (letters a to z, digits, - and .), not '{node}'");
            }
            var given = options.Where(option => option != _kubernetes && result.GetResult(option) is { Implicit: false }).ToList();
            if (!HasApi(result))
            {
                var why = result.GetValue(_kubernetes) == Use.Off ? "--kubernetes off excludes it" : "this is not a pod with a service account";
                given.ForEach(option => result.AddError($"{option.Name} needs the cluster's API, but {why}"));
            }
            else if (NodeName(result) is null)
            {
                foreach (var option in given.Where(option => option == _namespaces || option == _excluded))
                {
                    result.AddError($"{option.Name} needs the node's name: give --node-name or the variable NODE_NAME");
                }
            }
        });
    }

    /// <summary>Returns the cluster that the options ask for; null if the API is not used.</summary>
    /// <exception cref="MissingRequirementException">The API needs TLS, and OpenSSL is missing.</exception>
    public ClusterOptions? Read(ParseResult result, Side side)
    {
        if (result.GetValue(_kubernetes) == Use.Off || Access(result.CommandResult) is not { } access)
        {
            return null;
        }
        if (access.Server.Scheme == Uri.UriSchemeHttps && !NativeLibraries.HasTls)
        {
            throw new MissingRequirementException(
                $"OpenSSL is missing (libssl.so.3), which the cluster's API at {access.Server} needs. Install it (Debian: libssl3; Fedora: openssl-libs), "
                + "or use --kubernetes off.");
        }
        return new ClusterOptions
        {
            Access = access,
            From = result.GetValue(_from),
            MeshRevisions = result.GetValue(_revisions),
            ProxyPolicies = result.GetValue(_proxies),
            Side = side,
            NodeName = NodeName(result.CommandResult),
            Pod = OwnPod(Environment.GetEnvironmentVariable),
            Namespaces = result.Values(_namespaces),
            ExcludedNamespaces = result.Values(_excluded),
        };
    }

    /// <summary>Whether policies can come from an API.</summary>
    public bool HasApi(CommandResult result) => result.GetValue(_kubernetes) != Use.Off && Access(result) is not null;

    /// <summary>Whether the node's pods can be read.</summary>
    public bool HasPods(CommandResult result) => HasApi(result) && NodeName(result) is not null;

    /// <summary>Returns the pod of this process by the variables of the DaemonSet.</summary>
    private static ObjectReference? OwnPod(Func<string, string?> variable) =>
        variable("POD_NAME") is { Length: > 0 } name && variable("POD_NAMESPACE") is { Length: > 0 } ns && IsName(name, 253) && IsName(ns, 63)
            ? new ObjectReference("v1", "Pod", ns, name, variable("POD_UID") is { Length: > 0 } uid ? uid : null)
            : null;

    private string? NodeName(CommandResult result) =>
        (result.GetValue(_node) ?? Environment.GetEnvironmentVariable("NODE_NAME")) is { Length: > 0 } name ? name : null;

    private ApiAccess? Access(CommandResult result) =>
        result.GetValue(_api) is { } server ? ApiAccess.Of(server) : ApiAccess.InCluster(Environment.GetEnvironmentVariable);

    /// <summary>Whether a text is a valid name of an object in the cluster (RFC 1123, 2.1).</summary>
    private static bool IsName(string text, int most) =>
        text.Length is > 0 && text.Length <= most && char.IsAsciiLetterOrDigit(text[0]) && char.IsAsciiLetterOrDigit(text[^1])
        && text.All(c => char.IsAsciiLetterLower(c) || char.IsAsciiDigit(c) || c is '-' or '.');

    private static Option<string[]> Names(string name, string description) => new(name)
    {
        Description = description,
        HelpName = "NAME",
        Arity = ArgumentArity.OneOrMore,
        AllowMultipleArgumentsPerToken = true,
        CustomParser = result =>
        {
            var names = result.Tokens.SelectMany(token => token.Value.Split(',', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries)).ToArray();
            foreach (var wrong in names.Where(text => !IsName(text, 63) || text.Contains('.', StringComparison.Ordinal)))
            {
                result.AddError($"{name} takes names of namespaces (letters a to z, digits and -), not '{wrong}'");
            }
            return names;
        },
    };
}
