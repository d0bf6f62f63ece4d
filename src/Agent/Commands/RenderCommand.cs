using System.CommandLine;
using Keepalive.Agent.Policies;
using Keepalive.Config;
using Keepalive.Config.Rendering;

namespace Keepalive.Agent.Commands;

/// <summary><c>keepalive-agent render PATH…</c>: the Istio DestinationRules that correspond to ConnectionPolicies.</summary>
internal static class RenderCommand
{
    public static Command Create()
    {
        var paths = CommonOptions.PolicyPaths();
        var command = new Command("render", "Convert ConnectionPolicies to Istio DestinationRules, as YAML") { paths };
        command.SetAction(async (result, stop) =>
        {
            var input = await PolicyInput.LoadAsync(result.GetValue(paths) ?? [], Side.Client, stop);
            if (!input.Report())
            {
                return ExitCodes.InvalidInput;
            }
            var (text, leftOut) = DestinationRuleText.Write(input.Compiled);
            foreach (var line in leftOut)
            {
                Complaint.Say($"left out: {line}");
            }
            if (text.Length == 0)
            {
                Complaint.Say("no DestinationRule corresponds to these policies");
            }
            await result.InvocationConfiguration.Output.WriteAsync(text.AsMemory(), stop);
            return ExitCodes.Done;
        });
        return command;
    }
}
