using Xunit;

// Live tests measure time and count frames, and two cores are all there may be: one test after another.
[assembly: CollectionBehavior(DisableTestParallelization = true)]
