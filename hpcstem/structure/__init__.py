"""From atoms to structure: linking, bonds, rings, defects, regions, cells, and sheets to train on."""
