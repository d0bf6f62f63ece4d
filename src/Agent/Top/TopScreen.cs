using System.Collections.Concurrent;
using System.Diagnostics.CodeAnalysis;
using System.Runtime.InteropServices;
using Keepalive.Linux.Processes;
using Spectre.Console;

namespace Keepalive.Agent.Top;

/// <summary>Shows the view on a terminal until the user leaves it or a signal ends it.</summary>
/// <remarks>
/// <code>
///   thread "keys"    Console.ReadKey ──┐
///   thread "reads"   NodeWatch ────────┼──► queue ──► this thread: model, frame, terminal
///   SIGWINCH, SIGTSTP ─────────────────┘
/// </code>
/// A read may take seconds if an agent hangs; keys are answered meanwhile.
/// </remarks>
[SuppressMessage("Reliability", "CA2000", Justification = "The queue and the event live as long as the process: threads use them to its end.")]
[SuppressMessage("Design", "CA1001", Justification = "The queue and the event live as long as the process: threads use them to its end.")]
internal sealed class TopScreen(TopOptions options, TimeProvider time)
{
    private const string Enter = "\e[?1049h\e[?25l";
    private const string Leave = "\e[?1049l\e[?25h";

    /// <summary>Between two reads the countdowns go on. Data that comes once a second is drawn once a second.</summary>
    private static readonly TimeSpan s_tick = TimeSpan.FromSeconds(1.25);

    private readonly BlockingCollection<Action> _queue = [];
    private readonly AutoResetEvent _wanted = new(false);
    private readonly TopModel _model = new();
    private readonly Lock _focusLock = new();
    private Focus? _focus;
    private bool _isResized;

    /// <summary>Runs until the user leaves.</summary>
    public int Run()
    {
        using var interruption = new Interruption();
        var stop = interruption.Token;
        using var watch = new NodeWatch(options, time);
        if (watch.Missing(stop) is { Count: > 0 } missing)
        {
            foreach (var line in missing)
            {
                Complaint.Say(line);
            }
            return ExitCodes.NotPermitted;
        }
        var console = Console(Terminal.WantsColours());
        using var stopped = stop.Register(() => _queue.Add(static () => { }));
        using var resized = PosixSignalRegistration.Create(PosixSignal.SIGWINCH, _ => _queue.Add(() => _isResized = true));
        using var suspended = PosixSignalRegistration.Create(PosixSignal.SIGTSTP, context =>
        {
            context.Cancel = true;
            _queue.Add(Suspend);
        });
        Start("reads", () => ReadNode(watch, stop));
        if (!System.Console.IsInputRedirected)
        {
            Start("keys", ReadKeys);
        }
        Write(Enter);
        try
        {
            while (!IsOver(stop))
            {
                _isResized = false;
                // A new live display for each size: one that finds the screen smaller than its last frame erases the user's scrollback.
                Write("\e[2J\e[H");
                console.Live(new FrameRenderable(Frame(console))).Start(live => Show(live, console, stop));
            }
        }
        finally
        {
            Write(Leave);
        }
        return ExitCodes.Done;
    }

    /// <summary>The console of a terminal, or, without colours, of a file.</summary>
    public static IAnsiConsole Console(bool hasColours, bool isTerminal = true) => AnsiConsole.Create(new AnsiConsoleSettings
    {
        Ansi = isTerminal ? AnsiSupport.Yes : AnsiSupport.No,
        ColorSystem = hasColours ? ColorSystemSupport.Standard : ColorSystemSupport.NoColors,
        Interactive = InteractionSupport.Yes,
        Out = new AnsiConsoleOutput(System.Console.Out),
    });

    private static void Start(string name, ThreadStart run) => new Thread(run) { Name = name, IsBackground = true }.Start();

    private static void Write(string text)
    {
        System.Console.Out.Write(text);
        System.Console.Out.Flush();
    }

    /// <summary>Leaves the screen to the shell, and stops until the shell continues this program.</summary>
    private void Suspend()
    {
        Write(Leave);
        OwnProcess.Stop();
        Write(Enter);
        _isResized = true;
    }

    private bool IsOver(CancellationToken stop) => _model.IsOver || stop.IsCancellationRequested;

    private void Show(LiveDisplayContext live, IAnsiConsole console, CancellationToken stop)
    {
        var size = (console.Profile.Width, console.Profile.Height);
        live.Refresh();
        var drawn = time.GetTimestamp();
        while (!IsOver(stop) && !_isResized)
        {
            var left = s_tick - time.GetElapsedTime(drawn);
            if (left > TimeSpan.Zero && _queue.TryTake(out var happened, left))
            {
                happened();
                while (_queue.TryTake(out happened))
                {
                    happened();
                }
            }
            else if (_model.IsPaused)
            {
                drawn = time.GetTimestamp();
                continue;
            }
            // The console learns of a new size a moment after the signal.
            _isResized |= size != (console.Profile.Width, console.Profile.Height);
            if (!_isResized && !IsOver(stop))
            {
                live.UpdateTarget(new FrameRenderable(Frame(console)));
                drawn = time.GetTimestamp();
            }
        }
    }

    private List<FrameLine> Frame(IAnsiConsole console)
    {
        if (!_model.IsPaused && _model.Snapshot is { } snapshot)
        {
            _model.Elapsed = (long)time.GetElapsedTime(snapshot.At).TotalMilliseconds;
        }
        return TopFrame.Draw(_model, console.Profile.Width, console.Profile.Height);
    }

    /// <summary>Passes keys to the queue. It ends with the process, because a read of a terminal cannot be ended.</summary>
    private void ReadKeys()
    {
        try
        {
            for (; ; )
            {
                var key = System.Console.ReadKey(intercept: true);
                _queue.Add(() => Press(key));
            }
        }
        catch (Exception e) when (e is InvalidOperationException or IOException)
        {
            // The terminal is gone. SIGHUP ends the program.
        }
    }

    private void Press(ConsoleKeyInfo key)
    {
        _model.Press(key);
        lock (_focusLock)
        {
            if (_focus == _model.Focus)
            {
                return;
            }
            _focus = _model.Focus;
        }
        _wanted.Set();
    }

    private void ReadNode(NodeWatch watch, CancellationToken stop)
    {
        var isDue = true;
        var began = time.GetTimestamp();
        while (!stop.IsCancellationRequested)
        {
            Focus? focus;
            lock (_focusLock)
            {
                focus = _focus;
            }
            began = isDue ? time.GetTimestamp() : began;
            try
            {
                var snapshot = isDue ? watch.Read(focus, stop) : watch.List(focus, stop);
                _queue.Add(() => _model.Show(snapshot), CancellationToken.None);
            }
            catch (OperationCanceledException)
            {
                return;
            }
            var left = watch.Pause - time.GetElapsedTime(began);
            isDue = !_wanted.WaitOne(left > TimeSpan.Zero ? left : TimeSpan.Zero);
        }
    }
}
