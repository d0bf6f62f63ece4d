using Xunit.Sdk;
using Xunit.v3;

namespace Keepalive.Testbed;

/// <summary>Begins with the collections of tests that take longest, so that no long one is left when all others have ended. Derived classes name
/// them.</summary>
/// <param name="longest">Names of collections, or of classes that are collections of their own.</param>
public abstract class LongestFirst(params string[] longest) : ITestCollectionOrderer
{
    public IReadOnlyCollection<TTestCollection> OrderTestCollections<TTestCollection>(IReadOnlyCollection<TTestCollection> testCollections)
        where TTestCollection : ITestCollection => [.. testCollections.OrderBy(collection => Place(collection.TestCollectionDisplayName))];

    private int Place(string collection)
    {
        var place = Array.FindIndex(longest, name => collection == name || collection.Contains($".{name} (", StringComparison.Ordinal));
        return place < 0 ? longest.Length : place;
    }
}
