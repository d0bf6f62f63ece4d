namespace Keepalive.Config;

/// <summary>The treatment of a TCP_USER_TIMEOUT that ends connections before the policy's probes are spent.</summary>
public enum UserTimeoutMode
{
    /// <summary>Leave it as it is.</summary>
    Keep,

    /// <summary>Raise it to the time that the probes take.</summary>
    Raise,

    /// <summary>Leave the whole socket as it is.</summary>
    Skip,

    /// <summary>Set it to a time of the policy's own, on every socket.</summary>
    Set,
}

/// <summary>The choice of a policy about TCP_USER_TIMEOUT. The default value is <see cref="UserTimeoutMode.Keep"/>.</summary>
/// <param name="Mode">The treatment.</param>
/// <param name="Milliseconds">The time to set, with <see cref="UserTimeoutMode.Set"/> only.</param>
public readonly record struct UserTimeoutChoice(UserTimeoutMode Mode, int Milliseconds = 0)
{
    /// <summary>Reads <c>keep</c>, <c>raise</c>, <c>skip</c>, or a duration of at least 1 ms that the kernel takes.</summary>
    public static bool TryParse(string text, out UserTimeoutChoice choice)
    {
        choice = text switch
        {
            "raise" => new UserTimeoutChoice(UserTimeoutMode.Raise),
            "skip" => new UserTimeoutChoice(UserTimeoutMode.Skip),
            _ => default,
        };
        if (text is "keep" or "raise" or "skip")
        {
            return true;
        }

        if (!GoDuration.TryParse(text, out var nanoseconds) || nanoseconds % GoDuration.Millisecond != 0
            || nanoseconds / GoDuration.Millisecond is not (>= 1 and <= UserTimeout.Max and var milliseconds))
        {
            return false;
        }

        choice = new UserTimeoutChoice(UserTimeoutMode.Set, (int)milliseconds);
        return true;
    }

    /// <summary><c>keep</c>, <c>raise</c>, <c>skip</c> or <c>30s</c>.</summary>
    public override string ToString() => Mode == UserTimeoutMode.Set ? UserTimeout.Format(Milliseconds) : Mode.ToString().ToLowerInvariant();
}
