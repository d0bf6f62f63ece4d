using System.Text.Json;
using System.Text.RegularExpressions;
using Keepalive.Testbed;
using Xunit;

namespace Keepalive.EndToEnd;

/// <summary>THIRD-PARTY-NOTICES.md lists exactly what the shipped programs contain.</summary>
public sealed partial class NoticesTests
{
    private static readonly string[] s_programs = ["Agent/keepalive-agent", "Simulator/keepalive-sim"];

    private static readonly Page s_notices = Page.Read("THIRD-PARTY-NOTICES.md");

    /// <summary>Packages with files in the programs' output, from the files that the build wrote: no analyzers, no tools.</summary>
    [Fact]
    public void Packages_OfTheNotices_AreThoseThatShip()
    {
        var shipped = s_programs.SelectMany(Packages).Select(package => package.Name).Distinct().Order(StringComparer.Ordinal);
        Assert.Equal(shipped, Rows("Packages").Select(row => row[0]).Order(StringComparer.Ordinal));
    }

    /// <summary>A lock file may list tools that do not ship. It must list everything that ships.</summary>
    [Fact]
    public void Packages_ThatShip_AreInTheLockFiles()
    {
        var locked = Directory.GetFiles(Path.Combine(Repository.Root, "src"), "packages.lock.json", SearchOption.AllDirectories)
            .SelectMany(file => JsonDocument.Parse(File.ReadAllText(file)).RootElement.GetProperty("dependencies").EnumerateObject())
            .SelectMany(framework => framework.Value.EnumerateObject())
            .Where(dependency => dependency.Value.TryGetProperty("resolved", out _))
            .Select(dependency => (dependency.Name, Version: dependency.Value.GetProperty("resolved").GetString()!)).ToHashSet();
        Assert.All(s_programs.SelectMany(Packages), package => Assert.Contains(package, locked));
    }

    [Fact]
    public void Packages_Licences_AreThoseThatThePackagesDeclare()
    {
        var packages = Environment.GetEnvironmentVariable("NUGET_PACKAGES") is { Length: > 0 } named
            ? named
            : Path.Combine(Environment.GetFolderPath(Environment.SpecialFolder.UserProfile), ".nuget", "packages");
        var licences = Rows("Packages").ToDictionary(row => row[0], row => row[1]);
        Assert.All(s_programs.SelectMany(Packages).Distinct(), package =>
        {
            string name = package.Name.ToLowerInvariant();
            string specification = File.ReadAllText(Path.Combine(packages, name, package.Version.ToLowerInvariant(), name + ".nuspec"));
            Assert.Equal($"[{LicenceExpression().Match(specification).Groups[1].Value}]", Link().Match(licences[package.Name]).Groups[1].Value);
        });
    }

    [Fact]
    public void Libraries_OfTheNotices_AreThoseOfTheLinkersArguments()
    {
        var arguments = File.ReadAllText(Path.Combine(Repository.Root, "src/Native/Native.targets")) + File.ReadAllText(Path.Combine(Repository.Root, "scripts/publish"));
        var linked = LinkedLibrary().Matches(arguments).Select(match => match.Groups[1].Value).Distinct().Order(StringComparer.Ordinal);
        Assert.Equal(linked, Rows("Native libraries, linked statically").Select(row => row[0].Split(' ')[0]).Order(StringComparer.Ordinal));
    }

    [Fact]
    public void Licences_ThatAreNamed_AreThereInFull()
    {
        var named = s_notices.Prose.SelectMany(line => LicenceFile().Matches(line)).Select(match => match.Groups[1].Value).Distinct().Order(StringComparer.Ordinal).ToList();
        Assert.Equal(Directory.GetFiles(Path.Combine(Repository.Root, "licenses")).Select(Path.GetFileName).Order(StringComparer.Ordinal), named);
        Assert.All(named, file => Assert.Contains(
            file switch
            {
                "MIT.txt" => "THE SOFTWARE IS PROVIDED \"AS IS\"",
                "BSD-2-Clause.txt" or "BSD-3-Clause.txt" => "Redistribution and use in source and binary forms",
                "Zlib.txt" => "This software is provided 'as-is'",
                "LGPL-3.0-or-later.txt" => "GNU LESSER GENERAL PUBLIC LICENSE",
                "GPL-3.0-or-later.txt" => "END OF TERMS AND CONDITIONS",
                "MPL-2.0.txt" => "Mozilla Public License Version 2.0",
                "Apache-2.0.txt" => "END OF TERMS AND CONDITIONS",
                _ => $"no test knows how to recognise {file}",
            },
            File.ReadAllText(Path.Combine(Repository.Root, "licenses", file)), StringComparison.Ordinal));
    }

    /// <summary>The LGPL requires a way to link with another version of the library.</summary>
    [Fact]
    public void Libelf_UnderTheLgpl_HasInstructionsToRelink()
    {
        Assert.Contains("relink-with-another-libelf", s_notices.Anchors);
        Assert.Contains(s_notices.Prose, line => line.Contains("Run `make build`. It links both programs again.", StringComparison.Ordinal));
    }

    private static IEnumerable<(string Name, string Version)> Packages(string program)
    {
        string[] parts = program.Split('/');
        string file = Path.Combine(Repository.Root, "src", parts[0], "bin", Repository.Configuration, "net10.0", parts[1] + ".deps.json");
        var target = JsonDocument.Parse(File.ReadAllText(file)).RootElement.GetProperty("targets").EnumerateObject().First().Value;
        return target.EnumerateObject()
            .Where(library => library.Value.TryGetProperty("runtime", out _) && !library.Name.StartsWith("Keepalive.", StringComparison.Ordinal)
                && !library.Name.StartsWith(parts[1] + "/", StringComparison.Ordinal))
            .Select(library => (library.Name.Split('/')[0], library.Name.Split('/')[1]));
    }

    private static IEnumerable<string[]> Rows(string heading) =>
        s_notices.Prose.SkipWhile(line => line != "## " + heading).Skip(1).TakeWhile(line => !line.StartsWith('#'))
            .Where(line => line.StartsWith('|')).Skip(2)
            .Select(line => line.Trim('|', ' ').Split(" | "));

    [GeneratedRegex("""<license type="expression">([^<]+)</license>""")]
    private static partial Regex LicenceExpression();

    [GeneratedRegex(@"^(\[[^]]+\])")]
    private static partial Regex Link();

    [GeneratedRegex(@"-l:(lib[a-z]+\.a)")]
    private static partial Regex LinkedLibrary();

    [GeneratedRegex(@"\(licenses/([^)]+)\)")]
    private static partial Regex LicenceFile();
}
