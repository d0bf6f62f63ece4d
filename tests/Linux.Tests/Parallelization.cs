using Xunit;

// These tests count the descriptors of their process.
[assembly: CollectionBehavior(CollectionBehavior.CollectionPerAssembly)]
