using System.Text;

namespace Keepalive.Agent.Running;

/// <summary>A writer to a stream that perhaps nobody reads. If a line is not written in time, it and all later ones are dropped.</summary>
internal sealed class PatientWriter(TextWriter output, TimeSpan patience) : TextWriter
{
    private bool _gaveUp;

    public override Encoding Encoding => output.Encoding;

    public override void WriteLine(string? value)
    {
        if (!_gaveUp)
        {
            // A write to a full pipe cannot be cancelled. Its thread does not keep the process from ending.
            var write = Task.Factory.StartNew(() => TryWrite(value), CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default);
            _gaveUp = !write.Wait(patience) || !write.Result;
        }
    }

    public override void WriteLine(object? value) => WriteLine(value?.ToString());

    /// <summary>Only whole lines can be dropped.</summary>
    public override void Write(char value) => throw new NotSupportedException();

    private bool TryWrite(string? value)
    {
        try
        {
            output.WriteLine(value);
            return true;
        }
        catch (IOException)
        {
            return false;   // a full disk, or a closed pipe
        }
    }
}
