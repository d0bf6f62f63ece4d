using System.Globalization;
using System.Net;
using System.Net.Sockets;
using Keepalive.Linux.Files;
using Keepalive.Simulator.Discover;
using Keepalive.Simulator.Pages;
using Keepalive.Simulator.Reports;

namespace Keepalive.Simulator.Commands;

/// <summary>One run of <c>keepalive-sim discover</c>: every address at the same time, then the results.</summary>
internal sealed class DiscoverRun
{
    private const double Clearly = 1.25;

    private static readonly TimeSpan s_second = TimeSpan.FromSeconds(1);

    private readonly Lock _progress = new();
    private readonly Dictionary<Discovery, (Bracket Timeout, Outlook Outlook)> _known = [];

    public required IReadOnlyList<DiscoveryTarget> Targets { get; init; }

    public DiscoveryTarget? Direct { get; init; }

    public required TimeSpan Until { get; init; }

    public required int Connections { get; init; }

    public required double Precision { get; init; }

    public required Func<DiscoveryTarget, byte[]> Payload { get; init; }

    public string? Name { get; init; }

    public string? File { get; init; }

    /// <summary>The file of the page; null for none.</summary>
    public string? Report { get; init; }

    public bool IsJson { get; init; }

    public int Execute(TextWriter output)
    {
        DescriptorLimit.Raise();
        if (!ConnectionRoom.AllowsStart(DiscoverCommand.LeastConnections))
        {
            return ExitCodes.NotPermitted;
        }
        try
        {
            using var file = File is { } path ? ResultFile.Open("--out", path) : null;
            using var page = Report is { } reported ? ResultFile.Open("--report", reported) : null;
            return Execute(file, page, output);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return Complaint.Say(ExitCodes.Failed, e.Message);
        }
    }

    private int Execute(ResultFile? file, ResultFile? page, TextWriter output)
    {
        // A name may take long to resolve.
        using var interruption = new Interruption();
        var ways = Resolve(interruption.Token, out var failed);
        if (interruption.Token.IsCancellationRequested)
        {
            return Complaint.Say(interruption.ExitCode, "interrupted before anything was measured");
        }
        if (ways.Count == 0)
        {
            return ExitCodes.Failed;
        }
        var each = Math.Min(Connections, DiscoverCommand.MaxConnections / ways.Count);
        if (each < DiscoverCommand.LeastConnections)
        {
            return Complaint.Say(ExitCodes.Usage,
                $"{ways.Count} addresses are too many: at most {DiscoverCommand.MaxConnections / DiscoverCommand.LeastConnections} can be measured at a time");
        }
        if (!ConnectionRoom.Allows(ways.Count, DiscoverCommand.LeastConnections))
        {
            return ExitCodes.NotPermitted;
        }
        if (ConnectionRoom.Connections(DescriptorLimit.Current, DescriptorLimit.Open(), ways.Count) is var room && room < each)
        {
            Complaint.Say($"{DescriptorLimit.Current} file descriptors leave room for {room} connections to each address instead of {each}: it takes longer, or is less precise. To have all, raise the limit (ulimit -n)");
            each = room;
        }
        var measured = Measure(ways, each, interruption.Token);
        var direct = measured.Zip(ways).FirstOrDefault(way => way.Second.IsDirect).First;
        DiscoveryVerdict[] verdicts = [.. measured.Zip(ways).Where(way => !way.Second.IsDirect).Select(way => new DiscoveryVerdict(way.Second.Host, way.First, direct))];
        Print(verdicts, output);
        page?.Write(ChartPage.Write(DiscoverPage.Of(verdicts, PolicyOf(verdicts))));
        failed |= file is not null && !Write(file, verdicts);
        return interruption.Token.IsCancellationRequested ? interruption.ExitCode
            : failed || direct is { Cut: not null } || verdicts.Any(verdict => verdict.Measured.IsUncertain) ? ExitCodes.Failed
            : ExitCodes.Done;
    }

    /// <summary>Every address once; of the direct way the first.</summary>
    private List<Way> Resolve(CancellationToken stop, out bool failed)
    {
        var ways = new List<Way>();
        var pace = new Pace(TimeSpan.FromSeconds(1.0 / DiscoverCommand.PerSecond), TimeProvider.System);
        failed = false;
        foreach (var host in Direct is { } past ? Targets.Append(past) : Targets)
        {
            var isDirect = ReferenceEquals(host, Direct);
            try
            {
                var found = Reachable(host, host.Resolve(stop));
                foreach (var remote in isDirect ? found.Take(1) : found)
                {
                    if (ways.Find(way => way.Request.Remote.Equals(remote)) is { } same)
                    {
                        if (isDirect)
                        {
                            Complaint.Say($"--direct {host} is {same.Host}, which is measured anyway: give an address past the balancer");
                            failed = true;
                        }
                        continue;
                    }
                    ways.Add(new Way(host, isDirect, new DiscoverRequest
                    {
                        Remote = remote,
                        Until = Until,
                        Connections = Connections,
                        Precision = Precision,
                        Payload = Payload(host),
                        Pace = pace,
                    }));
                }
            }
            catch (SocketException e)
            {
                Complaint.Say($"{host}: {Unresolved(e)}");
                failed = true;
            }
            catch (OperationCanceledException)
            {
                return [];
            }
        }
        return ways.Exists(way => !way.IsDirect) ? ways : [];
    }

    private static string Unresolved(SocketException e) => e.SocketErrorCode switch
    {
        SocketError.HostNotFound => "there is no such name",
        SocketError.NoData => "the name has no address",
        SocketError.TryAgain => "the name could not be resolved: no name server answered",
        _ => $"the name could not be resolved: {e.Message}",
    };

    /// <summary>A name often has addresses of a family that this host has no route for. Its clients use the others.</summary>
    private static IPEndPoint[] Reachable(DiscoveryTarget host, IPEndPoint[] found)
    {
        IPEndPoint[] reachable = [.. found.Where(DiscoveryTarget.HasRoute)];
        if (reachable.Length == 0)
        {
            return found;
        }
        foreach (var remote in found.Except(reachable))
        {
            Complaint.Say($"{host}: {remote.Address} is skipped, this host has no route to it");
        }
        return reachable;
    }

    private Measurement[] Measure(List<Way> ways, int connections, CancellationToken stop)
    {
        using var progress = new ProgressLine("discover");
        var measured = new Measurement?[ways.Count];
        Thread[] threads = [.. ways.Select((way, index) => new Thread(() =>
        {
            using var discovery = new Discovery(way.Request with { Connections = connections });
            var result = discovery.Run(
                one =>
                {
                    progress.Say(columns => Known(one, columns));
                    if (way.IsDirect && IsLongerThanAll(one.Timeout, ways, measured))
                    {
                        one.Finish();
                    }
                },
                stop);
            Volatile.Write(ref measured[index], result);
            Finished(discovery, result);
        }))];
        Array.ForEach(threads, thread => thread.Start());
        Array.ForEach(threads, thread => thread.Join());
        return [.. measured.OfType<Measurement>()];
    }

    /// <summary>Whether connections on the direct way live longer than on all others: how much longer does not matter.</summary>
    private static bool IsLongerThanAll(Bracket direct, List<Way> ways, Measurement?[] measured)
    {
        for (var i = 0; i < ways.Count; i++)
        {
            if (!ways[i].IsDirect && (Volatile.Read(ref measured[i]) is not { Timeout.To: { } to } || direct.From < (to * Clearly) + s_second))
            {
                return false;
            }
        }
        return true;
    }

    private void Print(DiscoveryVerdict[] verdicts, TextWriter output)
    {
        foreach (var verdict in verdicts)
        {
            if (IsJson)
            {
                DiscoveryReport.WriteJson(verdict, NameOf(verdict), output);
            }
            else
            {
                DiscoveryReport.WriteText(verdict, output);
            }
        }
        if (!IsJson && Shortest(verdicts) is { } shortest)
        {
            DiscoveryReport.WritePolicy(verdicts, NameOf(shortest), output);
        }
    }

    private string PolicyOf(DiscoveryVerdict[] verdicts)
    {
        if (Shortest(verdicts) is not { } shortest)
        {
            return "";
        }
        using var text = new StringWriter { NewLine = "\n" };
        DiscoveryReport.WritePolicy(verdicts, NameOf(shortest), text);
        return text.ToString().Trim('\n');
    }

    private static DiscoveryVerdict? Shortest(IEnumerable<DiscoveryVerdict> verdicts) =>
        verdicts.Where(verdict => verdict.Measured.IsMeasured).MinBy(verdict => verdict.Measured.Timeout.From);

    private bool Write(ResultFile file, DiscoveryVerdict[] verdicts)
    {
        if (Shortest(verdicts) is not { } shortest)
        {
            Complaint.Say($"{File} was not written: {(verdicts.Length == 1 ? verdicts[0].WhyNoTimeout : "no idle timeout was measured")}");
            return false;
        }
        file.Write(MeasuredBalancer.Write(NameOf(shortest), shortest, verdicts));
        if (verdicts.Length > 1)
        {
            Complaint.Say($"{File} describes {shortest.Measured.Request.Remote}, which has the shortest idle timeout of the {verdicts.Length} addresses");
        }
        return true;
    }

    private string NameOf(DiscoveryVerdict verdict) => Name
        ?? (IsName(verdict.Host.Host) ? verdict.Host.Host : verdict.Host.Host.Split('.')[0] is var first && IsName(first) ? first : "measured");

    private static bool IsName(string word) => DiscoverCommand.NamePattern().IsMatch(word) && word.Any(char.IsLetter);

    /// <summary>What is known of all addresses so far, in so many columns if possible.</summary>
    private string Known(Discovery discovery, int columns)
    {
        lock (_progress)
        {
            _known[discovery] = (discovery.Timeout, discovery.Outlook);
            var longest = _known.Values.MaxBy(one => one.Outlook.Left).Outlook;
            var left = $"about {Left(longest.Left)} left";
            if (_known.Count == 1)
            {
                return $"{Text(discovery.Timeout)}; {left}{(longest.Doing is { } what ? $", {what}" : "")}";
            }
            var all = $"{string.Join("; ", _known.Select(one => $"{one.Key.Request.Remote} {Text(one.Value.Timeout)}"))}; {left}";
            return all.Length <= columns ? all : $"{_known.Count} addresses, the shortest {Text(_known.Values.Select(one => one.Timeout).MinBy(one => (one.To ?? TimeSpan.MaxValue, one.From)))}; {left}";
        }
    }

    /// <summary>Takes no more time; one that could not be reached is not shown.</summary>
    private void Finished(Discovery discovery, Measurement measured)
    {
        lock (_progress)
        {
            if (_known.Remove(discovery, out var known) && measured.Cut is null)
            {
                _known[discovery] = (known.Timeout, default);
            }
        }
    }

    /// <summary>In whole minutes where it is long.</summary>
    private static string Left(TimeSpan time) => time < TimeSpan.FromMinutes(3)
        ? Words.Duration(TimeSpan.FromSeconds(Math.Ceiling(time.TotalSeconds)))
        : string.Create(CultureInfo.InvariantCulture, $"{Math.Ceiling(time.TotalMinutes):0}m");

    private static string Text(Bracket timeout) => timeout is { To: null, From.Ticks: 0 } ? "nothing known yet" : timeout.To is { } to
        ? string.Create(CultureInfo.InvariantCulture, $"{timeout.From.TotalSeconds:0.0} to {to.TotalSeconds:0.0} s")
        : string.Create(CultureInfo.InvariantCulture, $"longer than {timeout.From.TotalSeconds:0.0} s");

    private sealed record Way(DiscoveryTarget Host, bool IsDirect, DiscoverRequest Request);
}
