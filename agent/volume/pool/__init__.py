"""Volumes that outlive pods: images in a pool, made, snapshotted, grown, shown and deleted.

parameters   what a class may ask for (pure)
space        what is free, what is promised (pure)
directory    a pool on disk: where images are, drafts, trash, what is not ours
image        the file of a volume or snapshot: made, copied, grown, deleted
staging      an image attached, mounted and shown at paths
volumes      the life of a volume: records and locks around the above
"""
