using System.Collections.Immutable;
using System.Globalization;
using Keepalive.Config;
using Keepalive.Config.Balancers;
using Keepalive.Config.Reading;
using Keepalive.Config.Resources;
using Keepalive.Simulator.Balancing;

namespace Keepalive.Simulator.Scenarios;

/// <summary>A scenario, or what is wrong with it.</summary>
/// <param name="Scenario">Null where there is an error.</param>
/// <param name="Diagnostics">The problems.</param>
/// <param name="Files">The policies (files or directories), balancers and traces that it names.</param>
internal sealed record ScenarioReading(Scenario? Scenario, ImmutableArray<Diagnostic> Diagnostics, ImmutableArray<string> Files);

/// <summary>Reads scenarios from YAML as strictly as policies are read, and with the same diagnostics.</summary>
internal sealed class ScenarioReader
{
    private static readonly TimeSpan s_tick = TimeSpan.FromMilliseconds(1);

    /// <summary>The fields of a service time, one of which it has.</summary>
    public static ImmutableArray<string> Distributions { get; } = ["fixed", "exponential", "trace"];

    private readonly DiagnosticBag _diagnostics = new();
    private readonly List<string> _files = [];
    private readonly string _directory;

    private ScenarioReader(string directory) => _directory = directory;

    /// <summary>Reads a file, or a built-in scenario by its name.</summary>
    /// <param name="path">See <see cref="ScenarioText.Open"/>.</param>
    /// <param name="changes">Fields to set, and to what.</param>
    public static ScenarioReading Read(string path, params IEnumerable<FieldChange> changes) =>
        ScenarioText.Open(path, null, out var diagnostics) is { } text ? Read(text, changes) : new ScenarioReading(null, diagnostics, []);

    /// <summary>Reads one that is in memory.</summary>
    public static ScenarioReading Read(ScenarioText text, params IEnumerable<FieldChange> changes) =>
        ReadText(text.Text, text.Name, text.Directory, changes);

    /// <summary>Reads text.</summary>
    /// <param name="text">YAML, one document.</param>
    /// <param name="name">Its name.</param>
    /// <param name="directory">Where the files it names are.</param>
    /// <param name="changes">Fields to set, and to what.</param>
    public static ScenarioReading ReadText(string text, string name, string directory = ".", params IEnumerable<FieldChange> changes) =>
        new ScenarioReader(directory).Read(text, name, changes);

    private ScenarioReading Read(string text, string name, IEnumerable<FieldChange> changes)
    {
        var scenario = TextCheck.Check(text, name, _diagnostics) ? ReadDocument(TextCheck.Normalize(text), name, changes) : null;
        return new ScenarioReading(_diagnostics.ErrorCount == 0 ? scenario : null, _diagnostics.ToSorted(), [.. _files]);
    }

    private Scenario? ReadDocument(string text, string name, IEnumerable<FieldChange> changes)
    {
        var start = new SourcePosition(name, 1, 1);
        var documents = DocumentSplitter.Split(text).ToList();
        if (documents.Count != 1)
        {
            _diagnostics.Report(documents.Count == 0 ? DiagnosticCatalog.NoDocuments : DiagnosticCatalog.Conflict, start,
                documents.Count == 0 ? "the file holds no document" : $"the file holds {documents.Count} documents", "write one scenario");
            return null;
        }
        var roots = new YamlTreeReader(name, text, documents[0], _diagnostics).Read(InputLimits.Nodes);
        if (_diagnostics.ErrorCount > 0)
        {
            return null;
        }
        if (roots.Count != 1 || roots[0] is not MappingNode root)
        {
            _diagnostics.Report(DiagnosticCatalog.WrongType, start, "scenario: must be a mapping", "start it with \"balancer:\" and \"requests:\"");
            return null;
        }
        foreach (var change in changes)
        {
            root = change.ApplyTo(root, _diagnostics);
        }
        return ReadScenario(new ObjectReader(root, "", new ResourceReport(_diagnostics, "scenario")), name);
    }

    private Scenario? ReadScenario(ObjectReader reader, string name)
    {
        var balancer = ReadBalancer(reader);
        var connections = (int)(ScenarioFields.Number(reader, "connections", 1, 10_000_000) ?? 1);
        var network = reader.Object("network");
        var scenario = new Scenario
        {
            Name = name,
            Preset = balancer?.Preset,
            Rule = balancer?.Rule ?? default,
            Connections = connections,
            Requests = new PoissonArrival(TimeSpan.MaxValue),
            RequestTimeout = ScenarioFields.Time(reader, "requestTimeout", s_tick) ?? TimeSpan.FromSeconds(15),
            ConnectTimeout = ScenarioFields.Time(reader, "connectTimeout", s_tick) ?? TimeSpan.FromSeconds(5),
            Retries = (int)(ScenarioFields.Number(reader, "retries", 0, 100) ?? 0),
            Duration = ScenarioFields.Time(reader, "duration", s_tick) ?? TimeSpan.FromHours(24),
            Keepalive = ScenarioKeepaliveReader.Read(reader.Object("keepalive"), _directory, _files),
            ServerKeepalive = ScenarioKeepaliveReader.Read(reader.Object("serverKeepalive"), _directory, _files),
            Endpoints = (int)(ScenarioFields.Number(reader, "endpoints", 1, 10_000) ?? 1),
            Seed = ScenarioFields.Number(reader, "seed", long.MinValue, long.MaxValue) ?? 1,
        };
        scenario = ReadPool(reader, scenario);
        scenario = ReadNetwork(network, scenario);
        scenario = ReadTimers(reader.Object("timers"), scenario);
        scenario = scenario with
        {
            Failures = [.. reader.Objects("failures").Select(failure => ReadFailure(failure, scenario)).OfType<Failure>()],
            Restarts = ReadRestarts(reader, scenario.Duration),
        };
        scenario = ReadRemoval(reader, scenario);
        var requests = reader.Require("requests") && reader.Object("requests") is { } requestsReader ? ReadArrival(requestsReader, scenario) : null;
        scenario = scenario with { ServiceTime = ReadServiceTime(reader, scenario) };
        reader.Close();
        CheckTogether(reader, scenario, balancer is not null);
        return requests is null ? null : CheckEffort(reader, scenario with { Requests = requests });
    }

    private (BalancerPreset? Preset, BalancerRule Rule)? ReadBalancer(ObjectReader reader)
    {
        if (!reader.Require("balancer") || reader.Value("balancer") is not { } value)
        {
            return null;
        }
        if (value is MappingNode)
        {
            return reader.Object("balancer") is { } inline ? ReadInline(inline) : null;
        }
        if (reader.String("balancer") is not { } text)
        {
            return null;
        }
        if (FindBalancer(text, reader, "balancer") is not var (preset, own))
        {
            return null;
        }
        return (own ?? DefaultTimeout(preset, reader, text.Position)) is { } timeout ? (preset, new BalancerRule(timeout, preset.Behaviour)) : null;
    }

    /// <summary>The idle timeout a preset comes with; null, reported.</summary>
    private static TimeSpan? DefaultTimeout(BalancerPreset preset, ObjectReader reader, SourcePosition position)
    {
        if (preset.IdleTimeout is { } seconds)
        {
            return TimeSpan.FromSeconds(seconds);
        }
        reader.Report.Report(DiagnosticCatalog.Missing, position, "balancer", $"{preset.Name} {preset.WhyNoTimeout}",
            $"write {{preset: {preset.Name}, idleTimeout: 60s}}");
        return null;
    }

    private (BalancerPreset? Preset, BalancerRule Rule)? ReadInline(ObjectReader reader)
    {
        var hasPreset = reader.Value("preset") is not null;
        var name = reader.String("preset");
        var (preset, own) = name is { } written && FindBalancer(written, reader, "preset") is var (found, its) ? (found, its) : (null, null);
        var timeout = ScenarioFields.Time(reader, "idleTimeout", TimeSpan.FromMilliseconds(100));
        var expiry = ScenarioFields.Word(reader, "expiry", [.. IdleBehaviour.Classes]);
        var refresh = ScenarioFields.Word(reader, "refresh", [.. IdleBehaviour.RefreshWords.Select(word => (word, IdleBehaviour.FindRefresh(word)!.Value))]);
        reader.Close();
        if (expiry is { Refresh: not Refresh.AnyPacket } clock && refresh is { } word && word != clock.Refresh)
        {
            reader.Report.Report(DiagnosticCatalog.Conflict, reader.KeyPosition("refresh"), reader.PathOf("refresh"),
                $"is {IdleBehaviour.NameOf(word)}, but the expiry says that it is {IdleBehaviour.NameOf(clock.Refresh)}",
                $"remove it, or write expiry: {clock.ExpiryName}");
        }
        if (!hasPreset)
        {
            reader.Require("idleTimeout");
            reader.Require("expiry");
        }
        if (preset is not null && reader.Value("idleTimeout") is null)
        {
            timeout = own ?? DefaultTimeout(preset, reader, name!.Value.Position);
        }
        if (timeout is not { } idle || (expiry ?? preset?.Behaviour) is not { } behaviour)
        {
            return null;
        }
        if (preset is not null && expiry is { Refresh: Refresh.AnyPacket } other)
        {
            behaviour = preset.Behaviour with { Expiry = other.Expiry };
        }
        behaviour = refresh is { } what ? behaviour with { Refresh = what } : behaviour;
        return (preset, new BalancerRule(idle, behaviour with { DropsProbes = preset?.DropsProbes == true && behaviour.Refresh == Refresh.PayloadOnly }));
    }

    /// <summary>The balancer of a name, or of a file and with its idle timeout; null, reported.</summary>
    private (BalancerPreset Preset, TimeSpan? IdleTimeout)? FindBalancer(Positioned<string> name, ObjectReader reader, string key)
    {
        if (!BalancerFile.IsPath(name.Value))
        {
            return FindPreset(name, reader, key) is { } known ? (known, null) : null;
        }
        var file = Path.Combine(_directory, name.Value);
        _files.Add(file);
        if (BalancerFile.Read(file, out var problems) is var (preset, timeout))
        {
            return (preset, timeout);
        }
        reader.Report.Report(DiagnosticCatalog.CannotRead, name.Position, reader.PathOf(key),
            $"has errors, the first: {problems.First(problem => problem.Severity == Severity.Error)}", "write such a file with 'keepalive-sim discover --out'");
        return null;
    }

    private static BalancerPreset? FindPreset(Positioned<string> name, ObjectReader reader, string key)
    {
        if (BalancerPresets.Find(name.Value) is { } preset)
        {
            return preset;
        }
        var (problem, fix) = UnknownBalancer.Explain(
            name.Value, (known, seconds) => string.Create(CultureInfo.InvariantCulture, $"{{preset: {known}, idleTimeout: {seconds}s}}"), "{idleTimeout: …, expiry: …}");
        reader.Report.Report(ScenarioDiagnostics.UnknownBalancer, name.Position, reader.PathOf(key), problem, fix);
        return null;
    }

    private Arrival? ReadArrival(ObjectReader reader, Scenario scenario)
    {
        var kind = ScenarioFields.Word(reader, "arrival", ("poisson", 'p'), ("fixed", 'f'), ("onOff", 'o'));
        var mean = ScenarioFields.Time(reader, "mean", s_tick);
        var every = ScenarioFields.Time(reader, "every", s_tick);
        var on = ScenarioFields.Time(reader, "on", s_tick);
        var off = ScenarioFields.Time(reader, "off", s_tick);
        var trace = reader.String("trace");
        var hasKind = reader.Value("arrival") is not null;
        reader.Close();
        if (trace is { } path)
        {
            Refuse(reader, hasKind ? "trace" : null, ["arrival", "mean", "every", "on", "off"]);
            var file = Path.Combine(_directory, path.Value);
            _files.Add(file);
            return TraceFile.ReadArrivals(file, path.Position, scenario, _diagnostics);
        }
        if (!hasKind)
        {
            reader.Require("arrival");
            return null;
        }
        switch (kind)
        {
            case 'p':
                Refuse(reader, "poisson", ["every", "on", "off"]);
                return reader.Require("mean") && mean is { } gap ? new PoissonArrival(gap) : null;
            case 'f':
                Refuse(reader, "fixed", ["mean", "on", "off"]);
                return reader.Require("every") && every is { } length ? new FixedArrival(length) : null;
            case 'o':
                Refuse(reader, "onOff", ["every"]);
                return reader.Require("on") & reader.Require("off") & reader.Require("mean") && (on, off, mean) is ({ } busy, { } pause, { } within)
                    ? new OnOffArrival(busy, pause, within)
                    : null;
            default:
                return null;
        }
    }

    /// <summary>A duration, or how it is distributed; 0s is as good as nothing.</summary>
    private ServiceTime? ReadServiceTime(ObjectReader parent, Scenario scenario)
    {
        const string key = "serviceTime";
        if (parent.Value(key) is not { } value)
        {
            return null;
        }
        var service = value is not ScalarNode
            ? parent.Object(key) is { } reader ? ReadDistribution(reader, scenario) : null
            : ScenarioFields.Time(parent, key, TimeSpan.Zero) is { } time ? new FixedService(time) : null;
        if (service is not null && service.Usual >= scenario.RequestTimeout)
        {
            var (how, few) = service switch
            {
                FixedService => ("", "no request is answered"),
                ExponentialService => ("has a mean of ", "most requests are not answered"),
                _ => ("is at least ", "no request is answered"),
            };
            parent.Report.Report(ScenarioDiagnostics.TooSlow, value.Position, key,
                $"{(how.Length > 0 ? how : "is ")}{Words.Duration(service.Usual)}, and the requestTimeout {Words.Duration(scenario.RequestTimeout)}: {few} in time", "write a longer requestTimeout");
        }
        return service is FixedService { Time.Ticks: 0 } ? null : service;
    }

    private ServiceTime? ReadDistribution(ObjectReader reader, Scenario scenario)
    {
        var same = ScenarioFields.Time(reader, "fixed", TimeSpan.Zero);
        var mean = ScenarioFields.Time(reader, "exponential", s_tick);
        var trace = reader.String("trace");
        reader.Close();
        string[] keys = [.. Distributions.Where(name => reader.Value(name) is not null)];
        if (keys.Length != 1)
        {
            reader.Report.Report(keys.Length == 0 ? DiagnosticCatalog.Missing : DiagnosticCatalog.Conflict, keys.Length == 0 ? reader.Position : reader.KeyPosition(keys[1]), reader.Path,
                keys.Length == 0 ? "has no value" : $"is both {keys[0]} and {keys[1]}", "write a duration, {fixed: 90s}, {exponential: 90s} or {trace: FILE}");
            return null;
        }
        if (trace is not { } path)
        {
            return same is { } time ? new FixedService(time) : mean is { } average ? new ExponentialService(average) : null;
        }
        var file = Path.Combine(_directory, path.Value);
        _files.Add(file);
        return TraceFile.ReadServiceTimes(file, path.Position, scenario, _diagnostics);
    }

    private static void Refuse(ObjectReader reader, string? kind, string[] keys)
    {
        foreach (var key in keys.Where(key => reader.Value(key) is not null))
        {
            reader.Report.Report(DiagnosticCatalog.Conflict, reader.KeyPosition(key), reader.PathOf(key), $"conflicts with {kind ?? "trace"}", "remove one of the two");
        }
    }

    private static Scenario ReadPool(ObjectReader parent, Scenario scenario)
    {
        if (parent.Object("pool") is not { } reader)
        {
            return scenario;
        }
        var size = (int)(ScenarioFields.Number(reader, "connections", 1, 10_000) ?? 1);
        var pick = ScenarioFields.Word(reader, "pick", ("round-robin", PoolPick.RoundRobin), ("random", PoolPick.Random), ("last-used", PoolPick.LastUsed));
        var reopen = ScenarioFields.Word(reader, "reopen", ("at-once", true), ("on-demand", false));
        if (scenario.Connections % size != 0)
        {
            reader.Report.Report(DiagnosticCatalog.Conflict, reader.KeyPosition("connections"), "pool.connections",
                $"is {size}, and {scenario.Connections} connections are not a multiple of it", "change one of the two");
            size = 1;
        }
        reader.Close();
        return scenario with { Pool = size, Pick = pick ?? PoolPick.RoundRobin, ReopensAtOnce = reopen ?? true };
    }

    private static Scenario ReadNetwork(ObjectReader? reader, Scenario scenario)
    {
        if (reader is null)
        {
            return scenario;
        }
        var loss = ScenarioFields.Part(reader, "loss", 0.99) ?? 0;
        var burst = ScenarioFields.Time(reader, "burst", s_tick);
        // Longer, and a probe would be overtaken by the next one: intervals are whole seconds.
        var roundTrip = ScenarioFields.Time(reader, "rtt", TimeSpan.Zero, TimeSpan.FromMilliseconds(900)) ?? TimeSpan.FromMilliseconds(1);
        if (burst is not null && loss == 0 && !reader.Report.IsFaulty("network.loss"))
        {
            reader.Report.Report(DiagnosticCatalog.Conflict, reader.KeyPosition("burst"), "network.burst", "has no effect without loss", "write loss, or remove it");
        }
        reader.Close();
        // Even, so that there are two ways of the same length.
        return scenario with { RoundTrip = new TimeSpan(roundTrip.Ticks / 2 * 2), Loss = loss, LossBurst = burst ?? TimeSpan.Zero };
    }

    private static Scenario ReadTimers(ObjectReader? reader, Scenario scenario)
    {
        if (reader is null)
        {
            return scenario;
        }
        var late = ScenarioFields.Word(reader, "fire", ("on-time", false), ("late", true)) ?? true;
        var hz = (int?)ScenarioFields.Number(reader, "hz", 24, 1200);
        if (!late && hz is not null)
        {
            reader.Report.Report(DiagnosticCatalog.Conflict, reader.KeyPosition("hz"), "timers.hz", "has no effect if timers fire on time", "remove it, or write fire: late");
        }
        reader.Close();
        return scenario with { TimerHz = late ? hz ?? TimerWheel.DefaultHz : null };
    }

    private static Failure? ReadFailure(ObjectReader reader, Scenario scenario)
    {
        var endpoint = ScenarioFields.Number(reader, "endpoint", 1, scenario.Endpoints) ?? 1;
        var at = ScenarioFields.Time(reader, "at", TimeSpan.Zero);
        var every = ScenarioFields.Time(reader, "every", s_tick);
        var lasts = ScenarioFields.Time(reader, "lasts", s_tick) ?? TimeSpan.FromDays(3650);
        var silent = ScenarioFields.Word(reader, "how", ("silent", true), ("reset", false)) ?? true;
        if (reader.Value("at") is null == reader.Value("every") is null)
        {
            reader.Report.Report(DiagnosticCatalog.Conflict, reader.Position, reader.Path, "needs either at or every", "write one of the two");
        }
        if (at is { } instant && reader.Value("at") is { } written)
        {
            WarnAfterTheEnd(instant, scenario.Duration, written.Position, reader.PathOf("at"), reader.Report);
        }
        reader.Close();
        return at is null && every is null ? null : new Failure((int)endpoint - 1, at, every, lasts, silent);
    }

    private static Scenario ReadRemoval(ObjectReader parent, Scenario scenario)
    {
        if (parent.Object("removal") is not { } reader)
        {
            return scenario;
        }
        var check = ScenarioFields.Time(reader, "checkEvery", TimeSpan.FromMilliseconds(100)) ?? TimeSpan.FromSeconds(5);
        reader.Close();
        if (scenario.Endpoints == 1)
        {
            parent.Report.Report(DiagnosticCatalog.Conflict, parent.KeyPosition("removal"), "removal", "takes endpoints out of the pool, but there is only one", "write endpoints: 2 or more");
        }
        if (scenario.Keepalive is null && !parent.Report.IsFaulty("keepalive") && parent.Value("keepalive") is null)
        {
            parent.Report.Report(DiagnosticCatalog.Conflict, parent.KeyPosition("removal"), "removal", "acts on connections that die of unanswered probes, but there is no keepalive",
                "write keepalive, or remove it");
        }
        return scenario with { RemovalCheck = check };
    }

    private static ImmutableArray<TimeSpan> ReadRestarts(ObjectReader reader, TimeSpan duration)
    {
        const string key = "balancerRestarts";
        var restarts = new List<TimeSpan>();
        foreach (var text in reader.Strings(key))
        {
            if (ScenarioFields.Time(text, key, reader.Report, TimeSpan.Zero, ScenarioFields.Longest) is { } at)
            {
                WarnAfterTheEnd(at, duration, text.Position, key, reader.Report);
                restarts.Add(at);
            }
        }
        return [.. restarts.Order()];
    }

    private static void WarnAfterTheEnd(TimeSpan at, TimeSpan duration, SourcePosition position, string field, ResourceReport report)
    {
        if (at >= duration)
        {
            report.Report(ScenarioDiagnostics.AfterTheEnd, position, field, $"is {Words.Duration(at)}, when the duration of {Words.Duration(duration)} is over", "write a longer duration, or an earlier time");
        }
    }

    /// <summary>Refuses what would not end: such a scenario is a mistake in one of its numbers.</summary>
    private static Scenario CheckEffort(ObjectReader reader, Scenario scenario)
    {
        if (ScenarioEffort.Steps(scenario) is > ScenarioEffort.MaxSteps and var steps)
        {
            reader.Report.Report(ScenarioDiagnostics.TooMuch, reader.KeyPosition("duration"), "duration", string.Create(
                CultureInfo.InvariantCulture,
                $"{Words.Duration(scenario.Duration)} of {Words.Count(scenario.Connections, "connection")} take about {steps:0.#e+0} steps, and the limit is {ScenarioEffort.MaxSteps:0e+0}"),
                "write a shorter duration, fewer connections, or longer times between requests and probes");
        }
        return scenario;
    }

    private static void CheckTogether(ObjectReader reader, Scenario scenario, bool hasBalancer)
    {
        if (hasBalancer && scenario.Rule.IdleTimeout <= 4 * scenario.RoundTrip)
        {
            reader.Report.Report(DiagnosticCatalog.Conflict, reader.KeyPosition("network"), "network.rtt",
                $"is {Words.Duration(scenario.RoundTrip)}, too long for an idle timeout of {Words.Duration(scenario.Rule.IdleTimeout)}", "an idle timeout has to be longer than four round trips");
        }
    }
}
