"""Many runs of one experiment that differ in a few settings: `posejax sweep`. See docs/sweep.md."""
