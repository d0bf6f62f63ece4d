namespace Keepalive.Agent.Kubernetes;

/// <summary>The next step of a <see cref="KindWatch"/>.</summary>
internal abstract class WatchState
{
    private WatchState()
    {
    }

    /// <summary>The state that lists the same objects again.</summary>
    public abstract WatchState Again { get; }

    /// <summary>Returns the state for the wanted objects; the same state if they are already listed or watched.</summary>
    public WatchState Toward(KindSelection? wanted) => (this, wanted) switch
    {
        (_, null) => new Idle(),
        (Listing listing, _) when listing.Of == wanted => this,
        (Watching watching, _) when watching.Of == wanted => this,
        _ => new Listing(wanted),
    };

    /// <summary>Nothing is wanted.</summary>
    public sealed class Idle : WatchState
    {
        public override WatchState Again => this;
    }

    /// <summary>All objects are requested.</summary>
    public sealed class Listing(KindSelection of) : WatchState
    {
        public KindSelection Of => of;

        public override WatchState Again => this;
    }

    /// <summary>Changes of the objects are watched.</summary>
    public sealed class Watching(KindSelection of, string from) : WatchState
    {
        public KindSelection Of => of;

        /// <summary>The version up to which the objects are known.</summary>
        public string From { get; set; } = from;

        public override WatchState Again => new Listing(of);
    }
}
