/** Follow a job until it has ended. */

import { get, Offline } from "./api.js";

const ENDED = ["succeeded", "failed", "cancelled"];

/**
 * @param {string} jobId
 * @param {(job: Object) => void} onProgress
 * @param {{signal?: AbortSignal}} [options]
 * @returns the job as it ended
 */
export async function follow(jobId, onProgress, { signal } = {}) {
  for (let wait = 250; ; wait = Math.min(wait * 1.5, 2000)) {
    try {
      const job = await get(`/v1/jobs/${jobId}`, { signal });
      onProgress(job);
      if (ENDED.includes(job.state)) return job;
    } catch (error) {
      if (!(error instanceof Offline)) throw error; // it goes on without us
    }
    await new Promise((resolve) => setTimeout(resolve, wait));
    signal?.throwIfAborted();
  }
}
