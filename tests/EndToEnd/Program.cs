using Keepalive.EndToEnd;
using Xunit.Runner.InProc.SystemConsole;

return args is ["--hold-lab"] ? LabHeldUntilKilled.Run() : await ConsoleRunner.Run(args).ConfigureAwait(false);
