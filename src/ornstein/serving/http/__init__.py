"""The HTTP server: OpenAI's image API, our own for every modality, Stable Diffusion web UI's, and what operators need."""
