using System.Diagnostics;
using System.Text.Json;
using Keepalive.Testbed;
using Xunit;

namespace Keepalive.Agent.Tests.Deploy;

/// <summary>Programs in tests/Tools that find problems in objects, each with a validator of others.</summary>
internal static class Validators
{
    /// <summary>Schemas of definitions, by python3-jsonschema.</summary>
    public static List<List<string>> Schemas(string definitionsAndObjects) => Run(definitionsAndObjects, "/usr/bin/python3", "-W", "ignore", PathOf("validate.py"));

    /// <summary>Validation rules of definitions, by @bufbuild/cel.</summary>
    public static List<List<string>> Rules(string definitionsAndObjects) => Run(definitionsAndObjects, "node", PathOf("rules.mjs"));

    /// <summary>Objects of Kubernetes' own kinds, by kubernetes-models.</summary>
    public static List<List<string>> Objects(string objects) => Run(objects, "node", PathOf("objects.mjs"));

    private static string PathOf(string program) => Path.Combine(Path.GetDirectoryName(Tools.Modules)!, program);

    private static List<List<string>> Run(string input, params string[] command)
    {
        var start = new ProcessStartInfo(command[0], command[1..]) { RedirectStandardInput = true, RedirectStandardOutput = true, RedirectStandardError = true };
        using var process = Process.Start(start)!;
        var output = process.StandardOutput.ReadToEndAsync();
        var error = process.StandardError.ReadToEndAsync();
        process.StandardInput.Write(input);
        process.StandardInput.Close();
        Assert.True(process.WaitForExit(TimeSpan.FromSeconds(60)), $"{command[0]} did not end");
        Assert.True(process.ExitCode == 0, error.Result);
        return JsonSerializer.Deserialize<List<List<string>>>(output.Result)!;
    }
}
