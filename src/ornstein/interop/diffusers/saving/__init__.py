"""Our trained systems as folders that diffusers opens."""
