using System.Buffers;
using System.Text.Json;
using Keepalive.Config.Reading;
using Keepalive.Config.Resources;

namespace Keepalive.Agent.Kubernetes;

/// <summary>Finds the DestinationRules with a keepalive that a person wrote. The rules that Gloo generates have labels of it.</summary>
internal sealed class UnusedRules : IObjectSink
{
    /// <summary>The names of the rules.</summary>
    public List<string> Names { get; } = [];

    public void BeginList() => Names.Clear();

    public void Take(ApiMetadata head, string apiVersion, in ReadOnlySequence<byte> json)
    {
        if (head.Labels?.Keys.Any(static label => label.Contains("gloo.solo.io/", StringComparison.Ordinal)) == true)
        {
            return;
        }
        try
        {
            var read = PolicyReader.ReadObject(in json, apiVersion, DestinationRule.KindName, head.Name!, known: null).Read;
            if (read?.Resources.All is [DestinationRule { IsValid: true } rule]
                && (rule.Tcp?.TcpKeepalive is not null || rule.PortLevelSettings.Any(static settings => settings.Tcp?.TcpKeepalive is not null)))
            {
                Names.Add(rule.QualifiedName);
            }
        }
        catch (JsonException)
        {
            // It would have no effect either.
        }
    }

    public void EndList()
    {
    }

    public void Remove(ApiMetadata head)
    {
    }

    public void Clear() => Names.Clear();
}
