using System.Text;

namespace Keepalive.Agent.Running;

/// <summary>Lines for a stream that perhaps nobody reads: when one has not been taken within the patience, it and all later ones are dropped.</summary>
internal sealed class PatientWriter(TextWriter output, TimeSpan patience) : TextWriter
{
    private bool _gaveUp;

    public override Encoding Encoding => output.Encoding;

    public override void WriteLine(string? value)
    {
        if (!_gaveUp)
        {
            // A write to a full pipe cannot be called back; its thread does not keep the process from ending.
            _gaveUp = !Task.Factory.StartNew(() => output.WriteLine(value), CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default).Wait(patience);
        }
    }

    public override void WriteLine(object? value) => WriteLine(value?.ToString());
}
