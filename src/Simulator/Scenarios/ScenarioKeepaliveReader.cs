using Keepalive.Config;
using Keepalive.Config.Compilation;
using Keepalive.Config.Reading;
using Keepalive.Config.Resources;

namespace Keepalive.Simulator.Scenarios;

/// <summary>Reads what an end's keepalive is: written out, or what a policy has for a destination.</summary>
internal static class ScenarioKeepaliveReader
{
    /// <summary>net.ipv4.tcp_keepalive_time, _intvl and _probes as Linux comes: what a value that is not given is.</summary>
    private static readonly (int Time, int Interval, int Probes) s_system = (7200, 75, 9);

    /// <summary>Reads it.</summary>
    /// <param name="reader">The end's mapping, where there is one.</param>
    /// <param name="directory">Where a policy it names is.</param>
    /// <param name="files">Takes the policy's path.</param>
    public static KeepaliveSettings? Read(ObjectReader? reader, string directory, List<string> files)
    {
        if (reader is null)
        {
            return null;
        }
        var policy = reader.String("policy");
        var destination = reader.String("destination");
        var time = Seconds(reader, "time", KeepaliveSettings.MaxTime);
        var interval = Seconds(reader, "interval", KeepaliveSettings.MaxInterval);
        var probes = ScenarioFields.Number(reader, "probes", 0, KeepaliveSettings.MaxProbes);
        reader.Close();
        if (policy is null && destination is null)
        {
            return Complete(new KeepaliveSettings(time, interval, probes is > 0 ? (int)probes : null));
        }
        if (time is not null || interval is not null || probes is not null)
        {
            reader.Report.Report(DiagnosticCatalog.Conflict, reader.Position, reader.Path, "has a policy and values of its own",
                "write either policy and destination, or time, interval and probes");
            return null;
        }
        if (policy is null || destination is null)
        {
            reader.Report.Report(DiagnosticCatalog.Missing, reader.Position, reader.Path, policy is null ? "has a destination but no policy" : "has a policy but no destination",
                "write both: a policy file, and the destination's name, namespace/name or host");
            return null;
        }
        var file = Path.Combine(directory, policy.Value.Value);
        files.Add(file);
        return FromPolicy(reader, policy.Value, file, destination.Value);
    }

    private static int? Seconds(ObjectReader reader, string key, int most) =>
        ScenarioFields.Time(reader, key, TimeSpan.FromMilliseconds(1), TimeSpan.FromSeconds(most + 1) - TimeSpan.FromMilliseconds(1)) is { } time
            ? Math.Max(1, (int)time.TotalSeconds)
            : null;

    private static KeepaliveSettings? FromPolicy(ObjectReader reader, Positioned<string> policy, string file, Positioned<string> destination)
    {
        var read = PolicyReader.Read([file]);
        if (read.Diagnostics.FirstOrDefault(diagnostic => diagnostic.Severity == Severity.Error) is { } error)
        {
            reader.Report.Report(DiagnosticCatalog.CannotRead, policy.Position, reader.PathOf("policy"), $"has errors, the first: {error}", "see keepalive-agent check");
            return null;
        }
        var compiled = PolicyCompiler.Compile(read.Resources, new CompilerOptions());
        var named = read.Resources.Valid<Destination>()
            .Where(one => one.QualifiedName == destination.Value || one.Metadata.Name.Value == destination.Value || one.Hosts.Any(host => host.Value == destination.Value))
            .Select(one => one.QualifiedName).ToHashSet();
        var names = compiled.Destinations.Where(one => named.Contains(one.Destination)).SelectMany(one => one.Policies).ToList();
        if (named.Count == 0)
        {
            var known = compiled.Destinations.Select(one => one.Destination).ToList();
            reader.Report.Report(ScenarioDiagnostics.NoSuchDestination, destination.Position, reader.PathOf("destination"), $"{Quoting.Quote(destination.Value)} is not in the policy's files",
                known.Count == 0 ? "add it there" : $"known there: {string.Join(", ", known.Take(10))}");
            return null;
        }
        foreach (var name in names)
        {
            if (compiled.Policies.First(one => one.Policy == name).Settings is [var settings, ..])
            {
                return Complete(settings);
            }
        }
        reader.Report.Report(ScenarioDiagnostics.NoSuchDestination, destination.Position, reader.PathOf("destination"), "has no policy that sets keepalive", "remove keepalive, or give another policy");
        return null;
    }

    private static KeepaliveSettings Complete(KeepaliveSettings settings) =>
        new(settings.Time ?? s_system.Time, settings.Interval ?? s_system.Interval, settings.Probes ?? s_system.Probes);
}
