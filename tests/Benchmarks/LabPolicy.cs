using Keepalive.Agent.Policies;
using Keepalive.Config;
using Keepalive.Config.Compilation;
using Keepalive.Config.Reading;

namespace Keepalive.Benchmarks;

/// <summary>The policy of the benchmarks, as a person would write it.</summary>
internal static class LabPolicy
{
    /// <summary>Writes a policy for one address block and returns the file's path.</summary>
    public static string Write(string addresses)
    {
        var path = Path.Combine(Workspace.Directory, "policy.yaml");
        File.WriteAllText(path, $$"""
            apiVersion: networking.gloo.solo.io/v2
            kind: ExternalService
            metadata: {name: lab, namespace: bench}
            spec:
              addresses: ["{{addresses}}"]
            ---
            apiVersion: resilience.policy.gloo.solo.io/v2
            kind: ConnectionPolicy
            metadata: {name: keepalive, namespace: bench}
            spec:
              applyToDestinations:
              - kind: EXTERNAL_SERVICE
                selector: {name: lab, namespace: bench}
              config:
                tcp:
                  tcpKeepalive: {time: 700s, interval: 10s, probes: 20}
            """);
        return path;
    }

    /// <summary>The compiled policy, as the agent uses it.</summary>
    public static PolicySnapshot Load(string addresses)
    {
        var read = PolicyReader.Read([Write(addresses)]);
        var compiled = PolicyCompiler.Compile(read.Resources, new CompilerOptions());
        return compiled.Policy.Rules.Length == 1
            ? new PolicySnapshot(compiled.Policy, ExistingMode.Tighten)
            : throw new InvalidOperationException($"the lab's policy has no rule: {string.Join("; ", read.Diagnostics.Concat(compiled.Diagnostics))}");
    }
}
