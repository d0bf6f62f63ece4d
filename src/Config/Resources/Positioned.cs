namespace Keepalive.Config.Resources;

/// <summary>A value and where it is written.</summary>
public readonly record struct Positioned<T>(T Value, SourcePosition Position);
