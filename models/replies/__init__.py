"""Read what clinicians wrote: its sentences, and the facts that it took up."""
