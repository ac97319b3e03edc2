/** Who the web process runs as, and its group: the group of what it may read. */
export const webUser = 'pe-failover';

/** Says who made it. */
export const webComment = 'web process of pe-failover';
