"""Claims and volumes: who gets what, from the first YAML to the last byte removed.

One rule carries it all: each look at a claim or a volume plans at most one write, from what is stored and from nothing
else. So any write may be the last before a crash, and the next look continues from there.

    match       which volume suits a claim (pure)
    claim       the next step of a claim: bind, provision, wait, lose (pure)
    volume      the next step of a volume: available, released, reclaimed (pure)
    protection  when a finalizer may go (pure)
    resize      growth and change of class of a bound claim (pure)
    controller  reads the store, takes the steps, calls the driver
"""
