using System.Net;
using Keepalive.Config;
using Keepalive.Config.Compilation;
using Keepalive.Config.Reading;
using Keepalive.Simulator.Demo;
using Keepalive.Simulator.Lab;
using Xunit;

namespace Keepalive.Simulator.Tests.Demo;

public sealed class DemoPolicyTests
{
    [Fact]
    public void Text_IsReadAndCompiledWithoutAWarning_AndAsksNoNameServer()
    {
        var (read, compiled) = Compile(DemoPolicy.Text);

        Assert.DoesNotContain(read.Diagnostics.Concat(compiled.Diagnostics), diagnostic => diagnostic.Severity != Severity.Note);
        Assert.Empty(compiled.WantedHosts);
    }

    [Fact]
    public void Text_SelectsTheService_AndNothingElse()
    {
        var (_, compiled) = Compile(DemoPolicy.Text);

        var rule = Match(compiled.Policy, new IPEndPoint(LabNetwork.ServerAddress, RecommendationService.Port));

        Assert.Equal(("bookinfo/tcp-keepalive", "bookinfo/recommendation-global", new KeepaliveSettings(1, 1, 5)), (rule?.Policy, rule?.Destination, rule?.Settings));
        Assert.Null(Match(compiled.Policy, new IPEndPoint(LabNetwork.ServerAddress, SidecarProxy.Port)));
        Assert.Null(Match(compiled.Policy, new IPEndPoint(IPAddress.Loopback, RecommendationService.Port)));
    }

    private static CompiledRule? Match(CompiledPolicy policy, IPEndPoint target)
    {
        var (local, remote) = (Endpoint.From(IPAddress.Loopback, 40000), Endpoint.From(target));
        return policy.Match(in local, in remote);
    }

    private static (ReadResult Read, CompilationResult Compiled) Compile(string text)
    {
        var path = Path.GetTempFileName();
        try
        {
            File.WriteAllText(path, text);
            var read = PolicyReader.Read([path]);
            return (read, PolicyCompiler.Compile(read.Resources, new CompilerOptions()));
        }
        finally
        {
            File.Delete(path);
        }
    }
}
