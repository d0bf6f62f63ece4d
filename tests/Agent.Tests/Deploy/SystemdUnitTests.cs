using System.CommandLine;
using Keepalive.Agent.Commands;
using Xunit;
using Command = Keepalive.Testbed.Command;

namespace Keepalive.Agent.Tests.Deploy;

public sealed class SystemdUnitTests
{
    [Fact]
    public void ExecStart_IsUnderstoodByTheProgram()
    {
        var words = SystemdUnit.Read()["ExecStart"].Single().Split(' ');
        Assert.Equal(("/usr/bin/keepalive-agent", "$OPTIONS"), (words[0], words[^1]));
        Assert.Empty(new RootCommand { RunCommand.Create() }.Parse(words[1..^1]).Errors);
    }

    [Theory]
    [InlineData("0.0.0.0:9464", "0.0.0.0:9464")]
    [InlineData("none", "")]
    public void Listen_InOptions_ReplacesThatOfTheUnit(string given, string expected)
    {
        var words = SystemdUnit.Read()["ExecStart"].Single().Split(' ');
        var run = RunCommand.Create();
        var parsed = new RootCommand { run }.Parse([.. words[1..^1], "--listen", given]);
        Assert.Empty(parsed.Errors);
        // The value is a private record; its text has the address.
        Assert.Equal($"{{ EndPoint = {expected} }}", parsed.GetResult(run.Options.Single(option => option.Name == "--listen"))!.GetValueOrDefault<object>()!.ToString()!["GivenAddress ".Length..]);
        Assert.NotEmpty(new RootCommand { RunCommand.Create() }.Parse([.. words[1..^1], "--listen", "9464x"]).Errors);
    }

    [Fact]
    public void WrongUsage_IsNotRestarted() => Assert.Equal($"{CommandLine.ExitCodes.Usage}", SystemdUnit.Read()["RestartPreventExitStatus"].Single());

    [Fact]
    public void RuntimeDirectory_IsTheProgramsOwnAndOutlivesIt()
    {
        var unit = SystemdUnit.Read();
        Assert.Equal(CommonOptions.DefaultStateDirectory, "/run/" + unit["RuntimeDirectory"].Single());
        Assert.Equal("yes", unit["RuntimeDirectoryPreserve"].Single());
        Assert.Equal(CommonOptions.DefaultDataDirectory, "/var/lib/" + unit["StateDirectory"].Single());
        Assert.Equal("0700", unit["StateDirectoryMode"].Single());
    }

    [Fact]
    public void Unit_IsValidToSystemd()
    {
        if (!Command.Exists("systemd-analyze"))
        {
            Assert.Skip("systemd is not installed");
        }
        var directory = Directory.CreateTempSubdirectory("keepalive-unit");
        try
        {
            // The unit with the path of an existing program.
            var copy = Path.Combine(directory.FullName, Path.GetFileName(SystemdUnit.Path));
            File.WriteAllText(copy, File.ReadAllText(SystemdUnit.Path).Replace("/usr/bin/keepalive-agent", "/bin/true", StringComparison.Ordinal));
            var verified = Command.Try(["systemd-analyze", "verify", "--man=no", copy]);
            Assert.Equal((0, ""), (verified.ExitCode, verified.Output + verified.Error));
        }
        finally
        {
            directory.Delete(recursive: true);
        }
    }
}
