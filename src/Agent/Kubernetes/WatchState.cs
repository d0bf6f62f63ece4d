namespace Keepalive.Agent.Kubernetes;

/// <summary>What the next step of a <see cref="KindWatch"/> does.</summary>
internal abstract class WatchState
{
    private WatchState()
    {
    }

    /// <summary>The same objects from the list on.</summary>
    public abstract WatchState Again { get; }

    /// <summary>The state in which these objects are followed; itself where it does that already.</summary>
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

    /// <summary>All objects are asked for.</summary>
    public sealed class Listing(KindSelection of) : WatchState
    {
        public KindSelection Of => of;

        public override WatchState Again => this;
    }

    /// <summary>Changes are followed.</summary>
    public sealed class Watching(KindSelection of, string from) : WatchState
    {
        public KindSelection Of => of;

        /// <summary>The version up to which they are known.</summary>
        public string From { get; set; } = from;

        public override WatchState Again => new Listing(of);
    }
}
