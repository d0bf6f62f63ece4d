using System.CommandLine;
using System.Globalization;
using System.Net.Sockets;
using System.Text;
using System.Text.RegularExpressions;
using Keepalive.Simulator.Discover;
using Keepalive.Simulator.Reports;

namespace Keepalive.Simulator.Commands;

/// <summary><c>keepalive-sim discover</c>: measures what is between here and a far end.</summary>
internal static partial class DiscoverCommand
{
    private const int MaxConnections = 256;
    private const int LeastConnections = 8;
    private const int PerSecond = 10;

    public static Command Create()
    {
        var targets = new Argument<string[]>("HOST:PORT") { Arity = ArgumentArity.OneOrMore, Description = "The far end, reached through the balancer; each address of a name is measured" };
        var until = DurationOption.Create("--until", "Longest idle time to try (default: 20m)", TimeSpan.FromSeconds(2), TimeSpan.FromHours(24));
        var connections = NumberOption.Create("--connections", $"Connections at a time to each address, at most {MaxConnections} in all and {PerSecond} new ones a second", LeastConnections, MaxConnections, 64);
        var precision = new Option<string>("--precision") { HelpName = "PART", DefaultValueFactory = _ => "2%", Description = "Part of the timeout that may remain unknown" };
        var http = new Option<string?>("--http") { HelpName = "PATH", Description = "Send a GET for this path on each connection first" };
        var send = new Option<string?>("--send") { HelpName = "TEXT", Description = @"Send this text on each connection first (\r, \n, \t and \\ are understood)" };
        var direct = new Option<string?>("--direct") { HelpName = "HOST:PORT", Description = "The same far end past the balancer, measured too: tells which of the two ends connections" };
        var name = new Option<string?>("--name") { HelpName = "NAME", Description = "Name for the file and the policy (default: from the host)" };
        var file = new Option<string?>("--out") { HelpName = "FILE", Description = "Write what was measured as a balancer file, for --balancer" };
        var output = OutputOption.Create();
        var command = new Command("discover", "Measure the idle timeout of what is between here and a far end")
        {
            targets, until, connections, precision, http, send, direct, name, file, output,
        };
        command.AddRule(result =>
        {
            foreach (var text in (result.GetValue(targets) ?? []).Append(result.GetValue(direct)).OfType<string>())
            {
                Require(DiscoveryTarget.TryParse(text) is not null, $"'{text}' is no HOST:PORT, like example.org:443 or [2001:db8::1]:443");
            }
            Require(result.GetResult(precision) is not { Implicit: false } || TryPart(result.GetValue(precision), out _), "--precision takes a part from 0.1% to 50%, like 2%");
            Require(result.GetValue(http) is null || result.GetValue(send) is null, "--http and --send exclude each other");
            Require(result.GetValue(http)?.StartsWith('/') != false, "--http takes a path, like /healthz");
            Require(result.GetValue(name) is not { } given || NamePattern().IsMatch(given), "--name takes lower-case letters, digits and dashes");

            void Require(bool holds, string error)
            {
                if (!holds)
                {
                    result.AddError(error);
                }
            }
        });
        command.SetAction(result =>
        {
            _ = TryPart(result.GetValue(precision), out var part);
            var path = result.GetValue(http);
            return new DiscoverAction
            {
                Targets = [.. result.GetValue(targets)!.Select(text => DiscoveryTarget.TryParse(text)!)],
                Direct = result.GetValue(direct) is { } past ? DiscoveryTarget.TryParse(past) : null,
                Until = result.GetValue(until) is var longest && longest > TimeSpan.Zero ? longest : TimeSpan.FromMinutes(20),
                Connections = result.GetValue(connections),
                Precision = part,
                Payload = host => path is not null ? Encoding.ASCII.GetBytes($"GET {path} HTTP/1.1\r\nHost: {host.Host}\r\nConnection: keep-alive\r\n\r\n") : Encoding.UTF8.GetBytes(Unescape(result.GetValue(send) ?? "")),
                Name = result.GetValue(name),
                File = result.GetValue(file),
                IsJson = result.GetValue(output) == OutputFormat.Json,
            }.Execute(result.InvocationConfiguration.Output);
        });
        return command;
    }

    private static bool TryPart(string? text, out double part)
    {
        var isPercent = text?.EndsWith('%') == true;
        var isNumber = double.TryParse(isPercent ? text![..^1] : text, NumberStyles.Float, CultureInfo.InvariantCulture, out part);
        part = isPercent ? part / 100 : part;
        return isNumber && part is >= 0.001 and <= 0.5;
    }

    private static string Unescape(string text) => Escape().Replace(text, match => match.Value[1] switch { 'r' => "\r", 'n' => "\n", 't' => "\t", _ => "\\" });

    [GeneratedRegex(@"\\[rnt\\]")]
    private static partial Regex Escape();

    [GeneratedRegex("^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$")]
    private static partial Regex NamePattern();

    /// <summary>One run of the command.</summary>
    private sealed class DiscoverAction
    {
        private readonly Lock _progress = new();
        private readonly Dictionary<Discovery, string> _known = [];

        public required IReadOnlyList<DiscoveryTarget> Targets { get; init; }

        public DiscoveryTarget? Direct { get; init; }

        public required TimeSpan Until { get; init; }

        public required int Connections { get; init; }

        public required double Precision { get; init; }

        public required Func<DiscoveryTarget, byte[]> Payload { get; init; }

        public string? Name { get; init; }

        public string? File { get; init; }

        public bool IsJson { get; init; }

        public int Execute(TextWriter output)
        {
            var ways = new List<(DiscoveryTarget Host, DiscoverRequest Request)>();
            var pace = new Pace(TimeSpan.FromSeconds(1.0 / PerSecond), TimeProvider.System);
            var failed = false;
            foreach (var host in Direct is { } past ? Targets.Append(past) : Targets)
            {
                try
                {
                    var isDirect = ReferenceEquals(host, Direct);
                    ways.AddRange((isDirect ? host.Resolve().Take(1) : host.Resolve()).Select(remote => (host, new DiscoverRequest
                    {
                        Remote = remote,
                        Until = Until,
                        Connections = Connections,
                        Precision = Precision,
                        Payload = Payload(host),
                        Pace = pace,
                    })));
                }
                catch (SocketException e)
                {
                    Complaint.Say(ExitCodes.Failed, $"{host}: {e.Message}");
                    failed = true;
                }
            }
            if (ways.Count == 0)
            {
                return ExitCodes.Failed;
            }
            var each = Math.Min(Connections, MaxConnections / ways.Count);
            if (each < LeastConnections)
            {
                return Complaint.Say(ExitCodes.Usage, $"{ways.Count} addresses are too many: at most {MaxConnections / LeastConnections} can be measured at a time");
            }
            using var interruption = new Interruption();
            using var progress = new ProgressLine("discover");
            var measured = new Measurement[ways.Count];
            Thread[] threads = [.. ways.Select((way, index) => new Thread(() =>
            {
                using var discovery = new Discovery(way.Request with { Connections = each });
                measured[index] = discovery.Run(one => progress.Say(() => Known(one)), interruption.Token);
            }))];
            Array.ForEach(threads, thread => thread.Start());
            Array.ForEach(threads, thread => thread.Join());
            progress.Dispose();

            var direct = Direct is null ? null : measured.Zip(ways).FirstOrDefault(way => ReferenceEquals(way.Second.Host, Direct)).First;
            DiscoveryVerdict[] verdicts = [.. measured.Zip(ways).Where(way => !ReferenceEquals(way.Second.Host, Direct)).Select(way => new DiscoveryVerdict(way.Second.Host, way.First, direct))];
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
            var shortest = verdicts.Where(verdict => verdict.Measured.IsMeasured).MinBy(verdict => verdict.Measured.Timeout.From);
            if (shortest is not null && !IsJson)
            {
                DiscoveryReport.WritePolicy(shortest, NameOf(shortest), output);
            }
            if (File is { } file && !Write(file, shortest))
            {
                failed = true;
            }
            return interruption.Token.IsCancellationRequested ? interruption.ExitCode
                : failed || direct is { Cut: not null } || verdicts.Any(verdict => verdict.Measured is { Cut: not null } or { IsContradictory: true }) ? ExitCodes.Failed
                : ExitCodes.Done;
        }

        private static bool Write(string file, DiscoveryVerdict? verdict, string name)
        {
            if (verdict is null)
            {
                Complaint.Say(ExitCodes.Failed, $"{file} was not written: nothing was forgotten");
                return false;
            }
            try
            {
                System.IO.File.WriteAllText(file, MeasuredBalancer.Write(name, verdict));
                return true;
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
                Complaint.Say(ExitCodes.Failed, $"{file} was not written: {e.Message}");
                return false;
            }
        }

        private bool Write(string file, DiscoveryVerdict? verdict) => Write(file, verdict, verdict is null ? "" : NameOf(verdict));

        private string NameOf(DiscoveryVerdict verdict) => Name
            ?? (NamePattern().IsMatch(verdict.Host.Host) && verdict.Host.Host.Any(char.IsLetter) ? verdict.Host.Host
            : verdict.Host.Host.Split('.')[0] is var first && NamePattern().IsMatch(first) && first.Any(char.IsLetter) ? first
            : "measured");

        /// <summary>What is known of all far ends so far.</summary>
        private string Known(Discovery discovery)
        {
            lock (_progress)
            {
                var timeout = discovery.Timeout;
                var seconds = (TimeSpan time) => time.TotalSeconds.ToString("0.0", CultureInfo.InvariantCulture);
                _known[discovery] = timeout.To is { } to ? $"{discovery.Request.Remote}: {seconds(timeout.From)} to {seconds(to)} s"
                    : $"{discovery.Request.Remote}: longer than {seconds(timeout.Least)} s";
                var left = timeout.To is { } known ? known - timeout.From : Until - discovery.Elapsed;
                return $"{string.Join("; ", _known.Values)}; at most {Words.Duration(TimeSpan.FromSeconds(Math.Max(1, Math.Ceiling(left.TotalSeconds))))} left";
            }
        }
    }
}
