"""Sources, augmentation and batches: everything between stored pictures and a batch."""
