using Xunit;

// Live tests measure time and count frames, and two cores are all there may be: one test after another. Only those that mostly wait, and for
// whom some seconds more are no matter, are in a collection of their own and run beside the others.
[assembly: CollectionBehavior(CollectionBehavior.CollectionPerAssembly)]
